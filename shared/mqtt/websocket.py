"""A websocket (RFC 6455) that a client of paho's reads and writes as if it were a plain line.

Paho's own keeps a frame until its end, however long the server says it is, reads it again for each
packet in it, answers pings in the middle of what it sends, and waits for a greeting without end.
"""

import base64
import errno
import hashlib
import os
import struct
import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server's answer is made of, beside the client's key (RFC 6455, section 1.3)."""

_LONGEST_ANSWER: Final = 1 << 14
"""Bytes of a server's answer to the greeting."""

_LONGEST_CONTROL: Final = 125
"""Bytes that a frame may hold which is not of data (section 5.5)."""

_CONTROL, _LAST, _RESERVED, _MASKED = 0x08, 0x80, 0x70, 0x80
"""Bits of a frame's first two bytes (section 5.2)."""

_LENGTHS: Final = {126: ">H", 127: ">Q"}
"""How a length is written for which seven bits are too few."""


class NoWebsocketError(ConnectionError):
    """The server does not speak MQTT over websockets there."""


class Kind(IntEnum):
    """Of a frame."""

    CONTINUATION = 0
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


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
        self._head = b""
        self._left = 0
        self._going = bytearray()
        self._sending: int | None = None
        _greet(sock, host, path, timeout)

    def recv(self, length: int) -> bytes:
        """Read what is there of the data of one frame; empty at the end of the connection.

        Raises
        ------
        BlockingIOError
            If there is none now.
        OSError
            If the line is lost, or brings what is no frame of ours.
        """
        if not self._left and not self._next_frame():
            return b""
        data: bytes = self._sock.recv(min(length, self._left))
        self._left -= len(data)
        return data

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
            self._going += frame(Kind.BINARY, data)
        self._flush()
        sent, self._sending = self._sending, None
        return sent

    def __getattr__(self, name: str) -> Any:
        """Be the socket in all else."""
        return getattr(self._sock, name)

    def _next_frame(self) -> bool:
        """Read the head of a frame; say whether the server goes on."""
        while missing := _head_size(self._head) - len(self._head):
            data = self._sock.recv(missing)
            if not data:
                return False
            self._head += data
        head, self._head = self._head, b""
        match head[0] & 0x0F:
            case Kind.CONTINUATION | Kind.BINARY:
                self._left = _length(head)
            case Kind.PING if not self._going:
                # Of pings that come while the line is full, only a later one is answered.
                self._going += frame(Kind.PONG, head[2:])
                self._flush()
            case Kind.CLOSE:
                return False
        if not self._left:
            raise BlockingIOError
        return True

    def _flush(self) -> None:
        """Send all that is left; raise :class:`BlockingIOError` where the line takes no more."""
        while self._going:
            del self._going[: self._sock.send(self._going)]


def frame(kind: Kind, data: bytes | bytearray) -> bytes:
    """Write a frame of a client (section 5.2), each byte changed by a key that stands beside it.

    That hides nothing: what passes web servers shall not look like anything else to them.
    """
    size = len(data)
    if size < min(_LENGTHS):
        head = bytes([_LAST | kind, _MASKED | size])
    else:
        short = 126 if size < 1 << 16 else 127
        head = bytes([_LAST | kind, _MASKED | short]) + struct.pack(_LENGTHS[short], size)
    key = os.urandom(4)
    pad = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data) ^ int.from_bytes(pad)
    return head + key + mixed.to_bytes(size)


def accepted(key: bytes) -> bytes:
    """Give what a server answers to a client's key."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 -- the RFC's; hides nothing


def _head_size(head: bytes) -> int:
    """Give the bytes of a frame's head, as far as they say; what is not data belongs to it."""
    if len(head) < 2:  # noqa: PLR2004 -- the bytes that say how it goes on
        return 2
    kind, size = head[0] & 0x0F, head[1]
    control = kind & _CONTROL
    if (
        kind not in set(Kind)
        or head[0] & _RESERVED
        or size & _MASKED
        or (control and size > _LONGEST_CONTROL)
    ):
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
    if control:
        return 2 + size
    return 2 + (struct.calcsize(_LENGTHS[size]) if size in _LENGTHS else 0)


def _length(head: bytes) -> int:
    """Read how much data follows the head of a frame."""
    size = head[1]
    return int(struct.unpack(_LENGTHS[size], head[2:])[0]) if size in _LENGTHS else size


def _greet(sock: Any, host: str, path: str, timeout: float) -> None:
    """Ask a web server to go on as a websocket (section 4.1), and look at its answer."""
    key = base64.b64encode(os.urandom(16))
    words = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in words.items())]
    sock.settimeout(timeout)
    sock.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    status, answer = _answer(sock, time.monotonic() + timeout)
    if (
        status != "101"
        or answer.get("upgrade", "").lower() != "websocket"
        or answer.get("sec-websocket-accept") != accepted(key).decode()
    ):
        raise NoWebsocketError("it does not go on as a websocket")


def _answer(sock: Any, end: float) -> tuple[str, Mapping[str, str]]:
    """Read a web server's answer and nothing behind it: its status, and its words by name."""
    text = bytearray()
    while not text.endswith(b"\r\n\r\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        sock.settimeout(left)
        try:
            byte = sock.recv(1)
        except ConnectionResetError:
            byte = b""
        text += byte
        if not byte or len(text) > _LONGEST_ANSWER:
            raise NoWebsocketError("its answer is none of a web server")
    first, *lines = text.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    words = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return first.partition(" ")[2][:3], words
