"""What a Mosquitto of ``deploy/mosquitto`` holds, for who is slow and in all: then it goes on."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.protocol.topics import Topics
from tests.brokers import wait_until
from tests.deploy.conftest import FEDERATION
from tests.deployed import Deployed
from tests.peers import Peer, Peers

TOPICS = Topics(FEDERATION)
QUEUED = 40 << 20
"""Bytes that wait for one client at most, of quality of service 1."""

MESSAGES = 1000
"""Messages that wait for one client at most."""

SYSTEM = 16 << 20
"""Bytes on their way that the system holds, and no broker counts."""

PROGRAM = 64 << 20
"""Bytes that the broker holds besides: the program, TLS, what is in flight, and copies of it."""


class Asleep:
    """An aggregator that reads nothing until it is woken."""

    def __init__(self, broker: Deployed, peers: Peers) -> None:
        self.woken = threading.Event()
        self.heard: list[bytes] = []
        self.peer: Peer = peers.connect(
            broker.settings_of("aggregator"),
            "aggregator",
            TOPICS.chunks("+"),
            TOPICS.requests("+"),
            on_message=self._hear,
        ).ready()
        peers.callback(self.woken.set)

    def _hear(self, _: str, payload: bytes) -> None:
        self.woken.wait()
        self.heard.append(payload)

    def hears(self, peer: Peer) -> bool:
        """Say whether something of a device has come; let it send more: what is full drops it."""
        peer.connection.publish(TOPICS.requests(peer.connection.name), b"x")
        return b"x" in self.heard


def send(broker: Deployed, peers: Peers, count: int, size: int, qos: int) -> Peer:
    """Let a device send so many chunks; give the device."""
    desk = peers.connect(broker.settings_of("desk"), "desk").ready()
    for _ in range(count):
        desk.connection.publish(TOPICS.chunks("desk"), bytes(size), qos=qos)
    wait_until(lambda: not desk.connection.busy, "all has gone out, or is lost with the line")
    return desk


@pytest.mark.parametrize(("qos", "count", "size"), [(1, 240, 1 << 20), (0, 3 * MESSAGES, 32 << 10)])
def test_what_waits_for_one_client_is_bounded(
    qos: int, count: int, size: int, deployed: Deployed, peers: Peers
) -> None:
    aggregator = Asleep(deployed, peers)
    desk = send(deployed, peers, count, size, qos)
    assert deployed.peak_memory() < QUEUED + PROGRAM
    aggregator.woken.set()
    wait_until(lambda: aggregator.hears(desk), "it goes on")
    assert 0 < len(aggregator.heard) < MESSAGES + SYSTEM / size
    assert size * len(aggregator.heard) < QUEUED + PROGRAM + SYSTEM
    assert [connected for connected, _ in desk.changes] == [True]


@pytest.fixture
def small(tmp_path: Path, credentials: Path) -> Iterator[Deployed]:
    """Start one with so little memory that less can reach the bound."""
    broker = Deployed(tmp_path, credentials, FEDERATION)
    broker.set("memory_limit", str(QUEUED // 2))
    broker.start()
    yield broker
    broker.kill()


def test_all_that_it_holds_is_bounded_and_the_others_go_on(small: Deployed, peers: Peers) -> None:
    kitchen = peers.connect(small.settings_of("kitchen"), "kitchen").ready()
    aggregator = Asleep(small, peers)
    send(small, peers, 240, 1 << 20, qos=0)
    assert small.peak_memory() < QUEUED // 2 + PROGRAM
    aggregator.woken.set()
    wait_until(lambda: aggregator.hears(kitchen), "the others go on")
