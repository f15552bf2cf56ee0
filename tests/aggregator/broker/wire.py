"""Bytes to say to a broker: a client that keeps to nothing but the form of its packets."""

import socket
from typing import Self

from aggregator.broker.packets import Kind, Message, encode


def text(value: str) -> bytes:
    """Write a text as packets have it."""
    content = value.encode()
    return len(content).to_bytes(2) + content


def connect(identifier: str, keepalive: int = 60, will: tuple[str, bytes] | None = None) -> bytes:
    """Write a CONNECT."""
    flags, body = 2, text(identifier)
    if will:
        flags |= 4
        body += text(will[0]) + len(will[1]).to_bytes(2) + will[1]
    head = text("MQTT") + bytes([4, flags]) + keepalive.to_bytes(2)
    return encode(Kind.CONNECT, head + body)


def publish(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    """Write a PUBLISH of quality of service 0."""
    return Message(topic, payload, 0, retain).encode(0, 0, retain=retain)


def subscribe(*filters: str) -> bytes:
    """Write a SUBSCRIBE."""
    body = b"".join(text(each) + b"\1" for each in filters)
    return encode(Kind.SUBSCRIBE, b"\0\1" + body, flags=2)


class Raw:
    """A connection that writes what it is told, and reads only when it is told.

    Parameters
    ----------
    port
        Of the broker.
    identifier
        What to call itself in a CONNECT; nothing is said if there is none.
    """

    def __init__(self, port: int, identifier: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        if identifier:
            self.socket.sendall(connect(identifier))
            assert self.socket.recv(4) == encode(Kind.CONNACK, b"\0\0")

    def say(self, *packets: bytes) -> None:
        """Send packets, and wait until the broker has taken all of them."""
        self.socket.sendall(b"".join(packets) + encode(Kind.PINGREQ))
        while encode(Kind.PINGRESP) not in self.socket.recv(1 << 16):
            pass

    def is_cut_off(self) -> bool:
        """Wait until the broker ends the connection; say so."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
