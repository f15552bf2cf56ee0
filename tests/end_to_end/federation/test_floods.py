"""A client with valid rights that floods, against real processes and a real broker."""

import time
from pathlib import Path

import pytest

from aggregator.server.distribution import TIMES
from edge_client.simulation.federation import client_name
from shared.protocol.messages import Presence, Want
from shared.protocol.topics import Topics
from tests.brokers import Mosquitto
from tests.end_to_end.federation.attacker import NAME
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.flood import Flood, of_wants
from tests.end_to_end.federation.place import Place
from tests.end_to_end.federation.processes import Processes
from tests.memberships import member
from tests.peers import Peers

pytestmark = pytest.mark.usefixtures("environment")

REQUESTS = 400_000
"""As many wedged the aggregator for ever when each was answered."""

SLACK = 16 << 20
"""Bytes beyond its share: what it gets again within seconds."""


def test_while_one_client_floods_the_others_finish_their_rounds(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        aggregator = them.serve(mosquitto.port)
        them.run(0, mosquitto.port)
        them.wait(lambda: aggregator.said("1 is ready to train"), "it waits for the other")
        flood = of_wants(mosquitto.port, REQUESTS)
        them.run(1, mosquitto.port)
        them.finish(simulated(clips.whole))
        flood.stop()
        assert aggregator.said("than anybody needs, from mallory")
        assert aggregator.said("mallory") < 10
        # It was written down, and nothing more.
        assert (tmp_path / "aggregator.log").stat().st_size < 20_000


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("presence", Presence(state="online", trains=False).encode()), ("chunks", b"no chunk at all")],
)
def test_whatever_one_client_floods_with_the_others_finish(
    kind: str, payload: bytes, tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        aggregator = them.serve(mosquitto.port)
        for number in range(2):
            them.run(number, mosquitto.port)
        them.wait(lambda: them.reached(1, "open"), "round 1 is open")
        topic = Topics("chorus").of_client("mallory", kind)
        flood = Flood(mosquitto.port, topic, payload, REQUESTS)
        them.wait(lambda: aggregator.said("than anybody needs, from mallory"), "it is noticed")
        them.finish(simulated(clips.whole))
        flood.stop()


def test_who_was_invited_and_floods_the_door_keeps_no_member_out(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips, "conv", "--by-invitation") as them:
        for number in range(DEVICES):
            name = client_name(number)
            member(them.state.path, tmp_path / name / "memberships" / "chorus", name)
        aggregator = them.serve(mosquitto.port)
        them.run(0, mosquitto.port)
        them.wait(lambda: aggregator.said("1 is ready to train"), "it waits for the other")
        flood = Flood(mosquitto.port, Topics("chorus").join("attic"), b"{}", REQUESTS)
        them.run(1, mosquitto.port)
        them.finish(simulated(clips.whole))
        flood.stop()
        assert aggregator.said("than anybody needs, from attic")
        assert aggregator.said("is made anew") < 5


def test_large_messages_of_one_client_do_not_occupy_the_aggregator(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    """Each of these takes a tenth of a second to read, and none is of any use."""
    begin = b'{"protocol": "1.3", "kind": "want", "ranges": ['
    large = begin + b",".join([b"[]"] * 300_000) + b"]}"
    with Processes(tmp_path, clips) as them:
        aggregator = them.serve(mosquitto.port)
        them.run(0, mosquitto.port)
        them.wait(lambda: aggregator.said("1 is ready to train"), "it waits for the other")
        flood = Flood(mosquitto.port, Topics("chorus").requests("mallory"), large, 300, packets=1)
        them.run(1, mosquitto.port)
        them.finish(simulated(clips.whole))
        flood.stop()
        assert aggregator.said("mallory: It says more than anybody has to say")


def test_few_bytes_of_requests_do_not_make_the_aggregator_send_without_end(
    tmp_path: Path, clips: Clips, place: Place, peers: Peers
) -> None:
    with Processes(tmp_path, clips) as them:
        them.access = place.words
        aggregator = them.serve(place.port)
        model = them.wait_for_model()
        them.wait(lambda: aggregator.said("Connected to the broker"), "it listens")
        sent = 0

        def count(_: str, payload: bytes) -> None:
            nonlocal sent
            sent += len(payload)

        topics = Topics("chorus")
        mallory = peers.connect(
            place.settings_of(NAME),
            NAME,
            topics.model(model.digest),
            identifier=topics.identifier(NAME),
            on_message=count,
        ).ready()
        everything = Want(file=model.digest, ranges=[(0, 1 << 30)]).encode()
        said = "mallory: It asks for the models again and again"
        asked, before = 0.0, 0

        def asks_again() -> bool:
            """Ask once something came, or in a second: a request for what is under way is none."""
            nonlocal asked, before
            if sent > before or time.monotonic() > asked + 1:
                asked, before = time.monotonic(), sent
                mallory.connection.publish(topics.requests(NAME), everything)
            return bool(aggregator.said(said))

        them.wait(asks_again, "it is told from those who need a model")
        assert sent < TIMES * model.bytes + SLACK
        for number in range(2):
            them.run(number, place.port)
        them.finish(simulated(clips.whole))
