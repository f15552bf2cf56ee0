"""A client that sends faster than any library: packets that are made once, through a raw socket."""

import contextlib
import socket
import struct
import threading
from typing import Final

from shared.protocol.messages import Want
from shared.protocol.topics import Topics

_PACKETS: Final = 1000
"""Packets that are handed to the system at once."""


def _text(words: str) -> bytes:
    return struct.pack(">H", len(words)) + words.encode()


def _packet(kind: int, body: bytes) -> bytes:
    """Write one of MQTT's packets."""
    length, left = bytearray(), len(body)
    while not length or left:
        length.append(left & 0x7F | (0x80 if left > 0x7F else 0))
        left >>= 7
    return bytes([kind]) + bytes(length) + body


class Flood:
    """Publishes one message again and again, with QoS 0.

    Parameters
    ----------
    port
        Of a broker on this machine, which lets anybody in.
    topic, payload
        The message.
    count
        How often.
    """

    def __init__(self, port: int, topic: str, payload: bytes, count: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        # A clean session, and a keep-alive of a minute.
        hello = _text("MQTT") + b"\x04\x02\x00\x3c" + _text("mallory")
        self._socket.sendall(_packet(0x10, hello))
        answer = self._socket.recv(4)
        assert answer == b"\x20\x02\x00\x00", answer
        self._packets = _packet(0x30, _text(topic) + payload) * _PACKETS
        self._rounds = count // _PACKETS
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    @property
    def ended(self) -> bool:
        """Whether all is sent."""
        return not self._thread.is_alive()

    def _send(self) -> None:
        with self._socket, contextlib.suppress(OSError):  # it was told to stop
            for _ in range(self._rounds):
                self._socket.sendall(self._packets)


def of_wants(port: int, count: int, federation: str = "chorus", client: str = "mallory") -> Flood:
    """Ask for a file that nobody has, so many times."""
    want = Want(file="4" * 64, ranges=[(0, 1)])
    return Flood(port, Topics(federation).requests(client), want.encode(), count)
