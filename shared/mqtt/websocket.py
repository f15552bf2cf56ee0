"""A websocket of wsproto's that a client of paho's reads and writes as if it were a plain line.

Paho's own keeps a frame until its end, however long the server says it is, reads it again for each
packet in it, answers pings in the middle of what it sends, and waits for a greeting without end.
"""

import errno
import os
import ssl
import time
from contextlib import suppress
from typing import Any, Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from shared.mqtt.troubles import NoWebsocketError

_MOST_AT_ONCE: Final = 1 << 16
"""Bytes that are read at once: wsproto copies what it is given a few times."""


class Websocket:
    """The bytes that frames bring, and a frame for each that are sent; nothing more is kept.

    All that selects and closes sockets takes it for the one below it.

    Parameters
    ----------
    sock
        A connected socket, of TCP or TLS.
    host
        The server's name and port, as in an address of the web.
    path
        Where at the server.
    timeout
        Seconds until the server must have answered the greeting.

    Raises
    ------
    NoWebsocketError
        If the server answers something else.
    OSError
        If it does not answer, or the line is lost.
    """

    def __init__(self, sock: Any, host: str, path: str, timeout: float) -> None:
        self._sock = sock
        self._frames = _greeted(sock, Request(host, path, subprotocols=["mqtt"]), timeout)
        self._going = bytearray()
        self._sending: int | None = None

    def recv(self, length: int) -> bytes:
        """Read what is there of the data of frames; empty at the end of the connection.

        Raises
        ------
        BlockingIOError
            If there is none now.
        OSError
            If the line is lost, or brings what is no frame of ours.
        """
        come: list[bytes] = []
        while self._frames.state is ConnectionState.OPEN and not come:
            # No more than is asked for: all its data can be given now, and the system, or TLS with
            # its `pending`, knows of all that is left.
            read = self._sock.recv(min(length, _MOST_AT_ONCE))
            if not read:
                return b""
            self._frames.receive_data(read)
            come = [self._data_of(event) for event in self._frames.events()]
        if self._frames.state is not ConnectionState.OPEN:
            # Data that came with the close is less than was asked for: of a packet without an end.
            return b""
        if not any(come):
            raise BlockingIOError
        return b"".join(come)

    def send(self, data: bytes | bytearray) -> int:
        """Send a frame. While a part of it is left, it is asked for again with the same data.

        Raises
        ------
        BlockingIOError
            While a part of it is left: whoever believed that nothing was sent might send
            something else next.
        """
        if self._sending is None:
            self._sending = len(data)
            self._going += self._frames.send(BytesMessage(data))
        self._flush()
        sent, self._sending = self._sending, None
        return sent

    def __getattr__(self, name: str) -> Any:
        """Be the socket in all else."""
        return getattr(self._sock, name)

    def _data_of(self, event: Event) -> bytes:
        """Give what an event brings of data; answer a ping, and the server's close."""
        match event:
            case BytesMessage():
                return bytes(event.data)
            case TextMessage() | CloseConnection() if self._frames.state is ConnectionState.OPEN:
                # The server has closed nothing: so wsproto says what is no frame.
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            case Ping() | CloseConnection() if not self._going:
                # Of pings that come while the line is full, only a later one is answered.
                self._going += self._frames.send(event.response())
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._flush()
        return b""

    def _flush(self) -> None:
        """Send all that is left; raise :class:`BlockingIOError` where the line takes no more."""
        while self._going:
            del self._going[: self._sock.send(self._going)]


def _greeted(sock: Any, greeting: Request, timeout: float) -> Connection:
    """Ask a web server to go on as a websocket; read its answer, and nothing behind it."""
    handshake = H11Handshake(ConnectionType.CLIENT)
    end = time.monotonic() + timeout
    sock.settimeout(timeout)
    sock.sendall(handshake.send(greeting))
    while handshake.state is ConnectionState.CONNECTING:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        sock.settimeout(left)
        try:
            byte = sock.recv(1)
            # It takes 16 KB at most. Words that should be ASCII, and are not, are a ValueError.
            handshake.receive_data(byte)
        except (ConnectionResetError, RemoteProtocolError, ValueError) as error:
            raise NoWebsocketError("its answer is none of a web server") from error
        if not byte:
            break
    if not handshake.connection:
        raise NoWebsocketError("it does not go on as a websocket")
    return handshake.connection
