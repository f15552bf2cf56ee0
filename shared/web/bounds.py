"""How much of a page one browser, or a stranger, can take."""

import asyncio
import re
import socket
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.web.policy import raw_error_response

SEND_BUFFER: Final = 64 * 1024
"""Bytes that the system keeps for a reader that is slow."""

LONGEST_ENDING: Final = 1.0
"""Seconds that an answer may still take when the server ends."""

_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_HOST: Final = re.compile(rb"^host:", re.IGNORECASE | re.MULTILINE)
_ODD_LENGTH: Final = re.compile(
    rb"^content-length:(?![ \t]*[0-9]{1,9}[ \t]*\r?$)[^\n]*\n", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class ServerBounds:
    """The bounds of a server."""

    most_connections: int = 24
    """At the same time: eight pages that are kept up to date, and room for their requests."""
    largest_request: int = 16 * 1024
    """Bytes of a request, headers and all."""
    slowest_request: float = 10.0
    """Seconds in which a request must have arrived."""
    slowest_reader: float = 10.0
    """Seconds in which an answer, or one event, must have been taken."""


class BoundedProtocol(H11Protocol):
    """One connection to Uvicorn, within bounds that Uvicorn does not have.

    A request that is too large or too slow ends without an answer, and so does a reader that is too
    slow. One connection too many is refused before it has asked for anything.

    Attributes
    ----------
    bounds
        The server's.
    ending
        Set before the server ends.
    """

    bounds: ClassVar[ServerBounds] = ServerBounds()
    ending: ClassVar[threading.Event] = threading.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as Uvicorn
        """Begin to watch a connection, or refuse it."""
        super().connection_made(transport)
        self._size = 0
        self._head: bytes | None = b""
        self._timer = self.loop.call_later(self.bounds.slowest_request, transport.abort)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
        )
        # Whatever the system does not take at once is waited for: see `pause_writing`.
        transport.set_write_buffer_limits(high=0)
        if self.ending.is_set():
            # Uvicorn may have told those that it ends before this one was among them.
            self.shutdown()
        elif len(self.connections) > self.bounds.most_connections:
            transport.write(raw_error_response(HTTPStatus.SERVICE_UNAVAILABLE))
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, up to the largest request."""
        self._size += len(data)
        if self._size > self.bounds.largest_request:
            self.transport.abort()
            return
        if self._head is not None:
            self._head += data
            end = _END_OF_HEAD.search(self._head)
            if end is None:
                return
            data = readable(self._head[: end.end()]) + self._head[end.end() :]
            self._head = None
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body:
            self._timer.cancel()

    def eof_received(self) -> bool:  # type: ignore[override] # it may say what asyncio's may say
        """Answer a request even if its sender has nothing more to send."""
        return self.cycle is not None and not self.cycle.response_started

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - Uvicorn's; a status says enough
        """Refuse what is not HTTP."""
        if self.cycle is None or not self.cycle.response_started:
            self.transport.write(raw_error_response(HTTPStatus.BAD_REQUEST))
        self.transport.close()

    def pause_writing(self) -> None:
        """Begin to wait for a reader."""
        super().pause_writing()
        self._timer.cancel()
        self._timer = self.loop.call_later(self.bounds.slowest_reader, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the reader has taken everything."""
        super().resume_writing()
        self._timer.cancel()

    def shutdown(self) -> None:
        """End in a moment."""
        super().shutdown()
        self.loop.call_later(LONGEST_ENDING, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._timer.cancel()
        super().connection_lost(exc)


def readable(head: bytes) -> bytes:
    r"""Let a request come as far as the site, which refuses it in its own words.

    h11 takes no request that names no host, or whose length is no number, and tells nobody which of
    these it was. The site takes an empty host for an unknown one (421), and asks for a length where
    none is (411).

    Parameters
    ----------
    head
        The request line and the headers, up to the empty line.

    Returns
    -------
    bytes
        The same, with an empty ``Host`` if there was none, and without a ``Content-Length`` that is
        not of one to nine digits.
    """
    line, end, fields = head.partition(b"\n")
    host = b"" if _HOST.search(fields) else b"Host:\r\n"
    return line + end + host + _ODD_LENGTH.sub(b"", fields)
