"""A broker without rules, and somebody on it who announces rounds: real processes throughout."""

from pathlib import Path

import pytest

from shared.protocol.messages import Announcement
from shared.protocol.topics import Topics
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import ROUNDS, Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.peers import Peers
from tests.proxy import proxy_to

pytestmark = pytest.mark.usefixtures("environment")

TOPICS = Topics("chorus")


def test_forged_announcements_cost_devices_nothing_that_they_keep(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, peers: Peers
) -> None:
    with Processes(tmp_path, clips) as them, proxy_to(mosquitto.port) as way:
        aggregator = them.serve(mosquitto.port)
        forger = peers.connect(mosquitto.settings, "forger", TOPICS.round).ready()
        them.run(1, mosquitto.port)
        way.delay(0.05)
        them.run(0, way.port)
        them.wait(lambda: them.safe(0), "its update is on its way")
        true = Announcement.decode(forger.messages[-1][1])
        for forged in (
            true.model_copy(update={"run": "f" * 32}).encode(),
            true.model_copy(update={"round": 999_999}).encode(),
            true.model_copy(update={"state": "finished"}).encode(),
            b"",
        ):
            forger.connection.publish(TOPICS.round, forged, retain=True)
            them.wait(
                lambda forged=forged: (TOPICS.round, forged) in forger.messages[:-1],  # type: ignore[misc] # bound now
                "the aggregator contradicts",
            )
        assert aggregator.said("Somebody else has announced")
        way.delay(0)
        them.reach(ROUNDS, simulated(clips.whole))
        them.wait(lambda: them.remembered(0)["accepted"] == ROUNDS, "it knows what counts")
