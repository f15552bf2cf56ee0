"""What MQTT 5 says besides 3.1.1."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import BOUND, Mosquitto, wait_until
from tests.peers import Peers

pytestmark = pytest.mark.usefixtures("needs_mosquitto")


@contextmanager
def running(folder: Path, *more: str) -> Iterator[Mosquitto]:
    """Run a Mosquitto with further lines of ``mosquitto.conf``."""
    broker = Mosquitto(folder, *more)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_message_that_the_rules_forbid_is_told_once_a_connection(
    tmp_path: Path, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write allowed\ntopic read #\n")
    with running(tmp_path, f"acl_file {rules}") as broker:
        peer = peers.connect(broker.settings, "anna", "allowed").ready()
        for _ in range(3):
            assert peer.connection.publish("forbidden", b"x")
        assert peer.connection.publish("allowed", b"y")
        peer.wait_for(1)
        wait_until(lambda: not peer.connection.busy, "all is answered")
        (warning,) = warnings(caplog)
        assert "does not allow anonymous clients to publish there" in warning


def test_a_message_larger_than_the_broker_takes_is_told(tmp_path: Path, peers: Peers) -> None:
    with running(tmp_path, "max_packet_size 1000") as broker:
        peer = peers.connect(broker.settings, "anna", "a").ready()
        peer.connection.publish("a", bytes(5000))
        sentence = peer.wait_for_change("was lost: a message was larger than the broker takes")
        assert "--chunk" in sentence
        assert peer.ready().connection.publish("a", b"small")
        peer.wait_for(1)


def test_a_broker_that_answers_wrongly_in_5_is_spoken_to_in_3_1_1(
    tmp_path: Path, peers: Peers
) -> None:
    # Mosquitto 2.0 refuses what is too large with a code that this answer does not have.
    with running(tmp_path, "message_size_limit 1000") as broker:
        peer = peers.connect(broker.settings, "anna", "a").ready()
        peer.connection.publish("a", bytes(5000))  # it may be over before this has returned
        peer.wait_for_change("answers as MQTT 5 does not allow")
        for _ in range(2):
            assert peer.ready().connection.publish("a", bytes(5000))
        assert peer.connection.publish("a", b"small")
        peer.wait_for(1)
        assert [connected for connected, _ in peer.changes] == [True, False, True]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0x8B, "was lost: server shutting down. It is made anew."),
        (0x8E, "another client has come in its place. It is made anew; look whether a second"),
        (0x98, "anna's account may have been taken away"),
    ],
)
def test_why_a_broker_ends_a_connection_is_told(peers: Peers, code: int, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1000)
                link.sendall(bytes([0x20, 3, 0, 0, 0]))
                link.recv(1000)
                link.sendall(bytes([0x90, 4, 0, 1, 0, 1]) + bytes([0xE0, 1, code]))

        threading.Thread(target=serve, daemon=True).start()
        peer = peers.connect(BrokerSettings(port=server.getsockname()[1]), "anna", "a")
        peer.wait_for_change(said)


def test_a_broker_that_takes_few_messages_at_once_is_not_given_more(
    tmp_path: Path, peers: Peers
) -> None:
    with running(tmp_path, "max_inflight_messages 2") as broker:
        peer = peers.connect(broker.settings, "anna", "a").ready()
        for number in range(200):
            assert peer.connection.publish("a", bytes([number]))
        peer.wait_for(200)
        assert [payload[0] for _, payload in peer.messages] == list(range(200))
        assert len(peer.changes) == 1, "the connection was never lost"


def test_a_broker_that_ends_what_it_does_not_speak_is_spoken_to_in_another_version(
    peers: Peers,
) -> None:
    told: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                link, _ = server.accept()
                with link:
                    told.append(link.recv(1000)[8] == 5)
                    if not told[-1]:
                        link.sendall(bytes([0x20, 2, 0, 0]))
                        link.recv(1000)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        peer = peers.connect(BrokerSettings(port=server.getsockname()[1]), "device").ready()
        assert peer.changes[0][0], "the first attempt is not told"
        peer.connection.close()
        thread.join(BOUND)
    assert told == [True, False]
