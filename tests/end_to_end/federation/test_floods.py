"""A client with valid rights that floods, against real processes and a real broker."""

from pathlib import Path

import pytest

from aggregator.server.distribution import TIMES
from shared.protocol.messages import Presence, Want
from shared.protocol.topics import Topics
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.flood import Flood, of_wants
from tests.end_to_end.federation.processes import Processes
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


def test_few_bytes_of_requests_do_not_make_the_aggregator_send_without_end(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, peers: Peers
) -> None:
    with Processes(tmp_path, clips) as them:
        aggregator = them.serve(mosquitto.port)
        model = them.wait_for_model()
        them.wait(lambda: aggregator.said("Connected to the broker"), "it listens")
        sent = 0

        def count(_: str, payload: bytes) -> None:
            nonlocal sent
            sent += len(payload)

        topics = Topics("chorus")
        mallory = peers.connect(
            mosquitto.settings, "mallory", topics.model(model.digest), on_message=count
        ).ready()
        everything = Want(file=model.digest, ranges=[(0, 1 << 30)]).encode()
        said = "mallory: It asks for the models again and again"
        while not aggregator.said(said):
            before = sent
            mallory.connection.publish(topics.requests("mallory"), everything)
            them.wait(lambda: sent > before or aggregator.said(said), "it is answered")  # noqa: B023 -- bound now
        assert sent < TIMES * model.bytes + SLACK
        for number in range(2):
            them.run(number, mosquitto.port)
        them.finish(simulated(clips.whole))
