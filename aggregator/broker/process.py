"""The process of the embedded broker; :mod:`aggregator.broker.embedded` starts it."""

import asyncio
import json
import logging
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BaseContext
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from aggregator.broker.embedded import read_passwords

_LISTENER = "default"


class MosquittoPasswords(BaseAuthPlugin):  # type: ignore[misc] # amqtt publishes no types
    """Lets in those whose name and password stand in a file of Mosquitto's."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._passwords = read_passwords(Path(self.config.path))

    async def authenticate(self, *, session: Session) -> bool:
        """Say whether a client may come in."""
        matches = self._passwords.get(session.username or "")
        return matches is not None and matches(session.password or "")

    @dataclass
    class Config:
        """Where the passwords are."""

        path: str = ""


async def serve(listening: socket.socket, passwords: str | None) -> None:
    """Serve those who connect, for ever."""
    plugin: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}}
    if passwords:
        plugin = {f"{__name__}.{MosquittoPasswords.__name__}": {"path": passwords}}
    broker = Broker({"listeners": {_LISTENER: {"type": "external"}}, "plugins": plugin})
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
    """Serve on a listening socket that was handed down, until standard input ends."""
    task = json.loads(sys.argv[1])
    # amqtt prints tracebacks of what the protocol fixes: slow clients, several that come at once.
    logging.basicConfig(level=logging.CRITICAL, format="broker: %(message)s")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(serve(socket.socket(fileno=task["socket"]), task["passwords"]))
