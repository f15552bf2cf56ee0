"""A broker that says whatever it likes to a client of ours, over TCP and over websockets."""

import functools
import socket
import threading
from contextlib import suppress
from typing import Final

from aggregator.broker.packets import Kind, encode
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.mqtt.version import Version
from tests.aggregator.broker.wire import publish
from tests.fuzz.strangers import PATIENCE, errors_logged
from tests.shared.mqtt.web_server import answer, frame_head, frame_of, greeted

_MQTT5, _WEBSOCKETS, _GREETING = 1, 2, 4
"""Bits of the first byte: what is spoken, and whether the answer to the greeting is in the rest."""

_now: Final = [b"\0"]
"""What is said to the client that comes next."""


def to_client(data: bytes) -> None:
    """Let a client of ours connect to one that says these bytes; it ends, and logs no error."""
    _now[0] = data or b"\0"
    connection = _connection(websockets=bool(_now[0][0] & _WEBSOCKETS))
    connection._version = Version()
    if not _now[0][0] & _MQTT5:
        connection._version.step_down()
    trouble = connection._one_connection()
    assert trouble.error.message
    found = errors_logged()
    assert not found, found[0]


def client_inputs() -> list[bytes]:
    """Let a client in, and tell it something: with each version, over each transport."""
    old = _told(b"\0\0", b"\0\1\1") + publish("a/b", b"x")
    new = _told(b"\0\0\x03\x21\0\x14", b"\0\1\0\1") + b"\x32\x09\0\3a/b\0\1\0x"
    new += encode(Kind.PUBACK, b"\0\1\x87") + encode(Kind.DISCONNECT, b"\x8e\0")
    frames = frame_of(old, 2) + frame_of(b"?", 9) + frame_head(1 << 40)
    return [
        *(b"\0" + old, b"\1" + new, b"\2" + frames, b"\3" + frame_of(new)),
        bytes([_WEBSOCKETS | _GREETING]) + answer(b"key"),
    ]


def _told(connected: bytes, subscribed: bytes) -> bytes:
    return encode(Kind.CONNACK, connected) + encode(Kind.SUBACK, subscribed)


@functools.cache
def _port() -> int:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


@functools.cache
def _connection(*, websockets: bool) -> Connection:
    return Connection(
        BrokerSettings(port=_port(), transport="websockets" if websockets else "tcp"),
        "anna",
        subscriptions=["a/#"],
        will=("gone", b"anna"),
        on_message=lambda *_: None,
        on_change=lambda *_: None,
    )


def _serve(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.settimeout(PATIENCE)
            how, said = _now[0][0], _now[0][1:]
            if how & _WEBSOCKETS:
                key = greeted(client)
                said = said if how & _GREETING else answer(key) + said
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
