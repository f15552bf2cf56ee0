"""A server that answers one client after the other as it likes, also over websockets."""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from wsproto.frame_protocol import Opcode
from wsproto.utilities import generate_accept_token

from aggregator.broker.packets import Kind as Packet
from aggregator.broker.packets import encode, take
from shared.mqtt.broker_settings import BrokerSettings

SUBSCRIBED = encode(Packet.SUBACK, b"\0\1\1")
CONNECTED = encode(Packet.CONNACK, b"\0\0")

Serve = Callable[[socket.socket], None]


@contextmanager
def web_server(serve: Serve) -> Iterator[BrokerSettings]:
    """Serve clients; give how to reach it over websockets."""
    with server(serve) as settings:
        yield BrokerSettings(host=f"ws://127.0.0.1:{settings.port}/mqtt")


@contextmanager
def server(serve: Serve) -> Iterator[BrokerSettings]:
    """Serve clients; give how to reach it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError, ValueError):
                        serve(client)

        threading.Thread(target=listen, daemon=True).start()
        yield BrokerSettings(port=listener.getsockname()[1])


def greeted(client: socket.socket) -> bytes:
    """Hear the greeting; give the client's key."""
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += client.recv(1)
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", text)
    assert found
    return found[1]


def answer(key: bytes) -> bytes:
    """Give what a server says to it."""
    lines = (
        b"HTTP/1.1 101 Switching Protocols",
        b"upgrade: WebSocket",
        b"Connection:Upgrade",
        b"Sec-WebSocket-Accept:" + generate_accept_token(key),  # without a space, as HTTP allows
    )
    return b"".join(line + b"\r\n" for line in (*lines, b""))


def frame_of(data: bytes, kind: int = Opcode.BINARY, *, last: bool = True) -> bytes:
    """Write a frame as servers do."""
    return frame_head(len(data), kind, last=last) + data


def frame_head(size: int, kind: int = Opcode.BINARY, *, last: bool = True) -> bytes:
    """Begin a frame; others continue it unless it is the last."""
    first = last << 7 | kind
    if size < 126:
        return bytes([first, size])
    if size < 1 << 16:
        return bytes([first, 126]) + struct.pack(">H", size)
    return bytes([first, 127]) + struct.pack(">Q", size)


def hear(client: socket.socket) -> tuple[int, bytes]:
    """Read a frame of the client's."""
    first, size = _exactly(client, 2)
    assert size & 0x80, "a client's frames are masked"
    size &= 0x7F
    if size >= 126:
        size = int.from_bytes(_exactly(client, 2 if size == 126 else 8))
    key, data = _exactly(client, 4), _exactly(client, size)
    return first & 0x0F, bytes(byte ^ key[place % 4] for place, byte in enumerate(data))


def subscribed(client: socket.socket) -> None:
    """Let a client of MQTT 3.1.1 in, and acknowledge what it subscribes to."""
    client.sendall(answer(greeted(client)))
    come = bytearray()
    for expected, said in ((Packet.CONNECT, CONNECTED), (Packet.SUBSCRIBE, SUBSCRIBED)):
        while not (packet := take(come, 1 << 20)):
            come += hear(client)[1]
        if packet.kind != expected or packet.body.startswith(b"\0\4MQTT\5"):
            raise ConnectionResetError
        client.sendall(frame_of(said))


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data
