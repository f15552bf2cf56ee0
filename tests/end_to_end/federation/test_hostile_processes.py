"""A broker without rules, and somebody on it who repeats all that is said otherwise: processes."""

import random
import threading
from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from shared.protocol.topics import Topics
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.end_to_end.federation.test_hostile_broker import Hostile, in_words
from tests.memberships import member
from tests.peers import Peer, Peers

pytestmark = pytest.mark.usefixtures("environment")

TOPICS = Topics("chorus")
KINDS = ("presence", "requests", "replies")


class Parrot:
    """Says again whatever it hears: altered, in another's place, and what is long past."""

    def __init__(self) -> None:
        self.peer: Peer | None = None
        self.said = set[tuple[str, bytes]]()
        self._hostile = Hostile()
        self._rng = random.Random(0)  # noqa: S311 - not cryptography
        self._lock = threading.Lock()
        self._kept: list[tuple[str, bytes]] = []

    def hear(self, topic: str, payload: bytes) -> None:
        peer, message = self.peer, (topic, payload)
        with self._lock:
            if peer is None or not (in_words(topic) and payload) or message in self.said:
                return
            self._kept.append(message)
            altered = self._hostile.altered(message)[:2]
            place = self._rng.choice(_places())
            for again in (*altered, (place, payload), self._rng.choice(self._kept)):
                self.said.add(again)
                keep = again[0] == TOPICS.round or again[0].endswith("/presence")
                peer.connection.publish(*again, retain=keep, wait=False)


def _places() -> list[str]:
    names = [client_name(number) for number in range(DEVICES)]
    return [TOPICS.round, *(TOPICS.of_client(name, kind) for name in names for kind in KINDS)]


def test_members_end_in_the_weights_of_the_simulation_all_the_same(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, peers: Peers
) -> None:
    with Processes(tmp_path, clips, "conv", "--by-invitation") as them:
        for number in range(DEVICES):
            name = client_name(number)
            folder = tmp_path / name / "memberships" / "chorus"
            member(them.state.path, folder, name)
        parrot = Parrot()
        parrot.peer = peers.connect(
            mosquitto.settings, "parrot", "chorus/chorus/#", on_message=parrot.hear
        ).ready()
        aggregator = them.serve(mosquitto.port)
        for number in range(DEVICES):
            them.run(number, mosquitto.port)
        them.reach(2, simulated(clips.whole))
        assert len(parrot.said) > 20
        assert aggregator.said("signed by another key")
        assert aggregator.said("older than its last message")
        assert them.devices[0].said("is not from the aggregator that this device has joined")
