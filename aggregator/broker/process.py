"""The process of the embedded broker; :mod:`aggregator.broker.embedded` starts it."""

import asyncio
import logging
import os
import socket
import sys
import threading
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker

_LISTENER = "default"


async def serve(listening: socket.socket) -> None:
    """Serve those who connect, for ever."""
    plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}
    broker = Broker({"listeners": {_LISTENER: {"type": "external"}}, "plugins": plugins})
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker.external_connected(
            StreamReaderAdapter(reader), StreamWriterAdapter(writer), _LISTENER
        )

    server = await asyncio.start_server(connected, sock=listening)
    await server.serve_forever()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    # Nothing here is worth an orderly end, and the port is to be free at once.
    os._exit(0)


def main() -> None:
    """Serve on the listening socket that is handed down by number, until standard input ends."""
    # amqtt prints tracebacks of what the protocol fixes: slow clients, several that come at once.
    logging.basicConfig(level=logging.CRITICAL, format="broker: %(message)s")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
