"""Attempts to connect that fail, or soon end: what is said of them, and what they leave."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import wait_until
from tests.peers import Peers

ACCEPTED, UNSPOKEN = 0, 1
"""What a broker answers that has MQTT 3.1.1 only."""

LARGE = 5000

NO_BROKER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer each connection, one after the other; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return  # the test is over
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def web_server() -> Iterator[int]:
    """Answer whatever is said as a web server does; give the port."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(NO_BROKER)

    with answering(answer) as port:
        yield port


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mqtt://127.0.0.1", "ended the connection without an answer"),
        ("ws://127.0.0.1", "does not speak MQTT over websockets"),
        ("mqtts://127.0.0.1", "does not speak TLS"),
        ("wss://127.0.0.1", "does not speak TLS"),
    ],
)
def test_it_leaves_no_socket_open(
    address: str, said: str, web_server: int, peers: Peers, recwarn: pytest.WarningsRecorder
) -> None:
    peer = peers.connect(BrokerSettings(host=address, port=web_server), "anna")
    peer.wait_for_change(said)
    peer.connection.close()
    gc.collect()
    assert [str(each.message) for each in recwarn if each.category is ResourceWarning] == []


@pytest.fixture
def narrow_broker() -> Iterator[int]:
    """Let everybody in, and end the connection at a large message without a word; give the port."""

    def answer(connection: socket.socket) -> None:
        speaks_5 = connection.recv(1000)[8] == 5
        connection.sendall(bytes([0x20, 2, 0, UNSPOKEN if speaks_5 else ACCEPTED]))
        received = 0
        while received < LARGE and (more := len(connection.recv(1 << 16))):
            received += more

    with answering(answer) as port:
        yield port


def test_who_is_thrown_out_after_a_large_message_is_told_of_it(
    narrow_broker: int, peers: Peers
) -> None:
    peer = peers.connect(BrokerSettings(port=narrow_broker), "anna")

    def is_told() -> bool:
        peer.connection.publish("a", bytes(LARGE))
        return f"or the broker takes no messages of {LARGE} bytes" in peer.changes[-1][1]

    peer.ready()
    wait_until(is_told, "it is told")
    assert "look whether a second client is called anna" in peer.changes[-1][1]
    peer.connection.close()
