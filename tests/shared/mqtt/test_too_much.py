"""A broker that sends more than anybody should: it costs a client a connection, and no memory."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from aggregator.broker.packets import Kind, encode
from shared.mqtt.bounded_client import LARGEST_PACKET
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from tests.aggregator.broker.wire import publish
from tests.brokers import peak_memory, wait_until


def one_large_packet() -> Iterator[bytes]:
    """Begin a packet of 200 MB."""
    size, head = 200 << 20, bytearray([Kind.PUBLISH << 4])
    while size:
        head.append(size & 127 | (128 if size > 127 else 0))
        size >>= 7
    yield bytes(head)
    for _ in range(200):
        yield bytes(1 << 20)


def much_too_early() -> Iterator[bytes]:
    """Publish 200 MB before the subscriptions are acknowledged."""
    for _ in range(3200):
        yield publish("a/b", bytes(1 << 16))


@pytest.mark.parametrize("sent", [one_large_packet, much_too_early])
def test_more_than_the_protocol_has_ends_the_connection(
    sent: Callable[[], Iterator[bytes]],
) -> None:
    told: list[str] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        client.recv(4096)
                        client.sendall(encode(Kind.CONNACK, b"\0\0"))
                        for piece in sent():
                            client.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        before = peak_memory(os.getpid())
        settings = BrokerSettings(port=listener.getsockname()[1])
        connection = Connection(
            settings,
            "anna",
            subscriptions=["a/#"],
            on_message=lambda *_: None,
            on_change=lambda _, said: told.append(said),
        )
        connection.start()
        wait_until(lambda: any("sends more at once" in said for said in told), "it is noticed")
        connection.close()
        assert peak_memory(os.getpid()) < before + 6 * LARGEST_PACKET
