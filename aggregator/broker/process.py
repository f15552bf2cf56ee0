"""The process of the embedded broker; :mod:`aggregator.broker.embedded` starts it."""

import asyncio
import logging
import os
import resource
import socket
import sys
import threading
from typing import Final

from aggregator.broker.broker import Broker, Session

_BACKLOG: Final = 512
"""Connections that wait while the broker is busy: a shelf of devices comes back at once."""

_FILES: Final = 2048
"""Files that the process has open at most: connections, and what Python needs."""


async def serve(listening: socket.socket, largest: int) -> None:
    """Serve those who connect, for ever; a message may have ``largest`` bytes."""
    broker, loop = Broker(largest), asyncio.get_running_loop()
    await loop.create_server(lambda: Session(broker), sock=listening, backlog=_BACKLOG)
    await broker.serve()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    # Nothing here is worth an orderly end, and the port is to be free at once.
    os._exit(0)


def main() -> None:
    """Serve on the listening socket that is handed down by number, until standard input ends."""
    logging.basicConfig(format="broker: %(message)s")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
