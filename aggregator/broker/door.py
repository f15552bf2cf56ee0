"""Who comes to the embedded broker: let in one after the other, and with TLS a few at a time.

Python's own server lets in all who come, and has no bound for those who have yet to agree on TLS;
without a file for the next one, it writes a megabyte a second about that.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aggregator.broker.bounds import CONNECT_SECONDS, MOST_STRANGERS

log = logging.getLogger(__name__)

_BACKLOG: Final = 512
"""Connections that wait while the broker is busy: a shelf of devices comes back at once."""

_NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system says where it has no file or no memory for one more connection."""

_PAUSE: Final = 1.0
"""Seconds until it may have."""


async def let_in(
    listening: socket.socket,
    session: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None,
) -> None:
    """Let connections in, for ever.

    When one comes while ``MOST_STRANGERS`` have yet to agree on TLS, the first of these is cut off.

    Parameters
    ----------
    listening
        Where they come.
    session
        Makes what a connection is handed to, once it speaks TLS if it should.
    tls
        What this side shows; ``None``: no TLS.
    """
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    listening.listen(_BACKLOG)
    agreeing: dict[asyncio.Task[None], None] = {}
    while True:
        try:
            line, _ = await loop.sock_accept(listening)
        except OSError as error:
            full = error.errno in _NO_ROOM  # else it is one that has gone again
            if full:
                log.error("No connection can be let in: %s.", error.strerror)  # noqa: TRY400
            await asyncio.sleep(_PAUSE if full else 0)
            continue
        if len(agreeing) >= MOST_STRANGERS:
            first = next(iter(agreeing))
            first.cancel()
            del agreeing[first]
        coming = loop.create_task(_agree(line, session, tls))
        agreeing[coming] = None
        coming.add_done_callback(lambda done: agreeing.pop(done, None))
        await asyncio.sleep(0)  # others are served between two who come


async def _agree(
    line: socket.socket, session: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
) -> None:
    """Hand a connection over; one that does not agree is closed."""
    patience = CONNECT_SECONDS if tls else None
    with suppress(OSError):
        await asyncio.get_running_loop().connect_accepted_socket(
            session, line, ssl=tls, ssl_handshake_timeout=patience
        )
