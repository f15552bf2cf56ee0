"""A broker that takes no message as large as a chunk, with real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, leave_out_without_mosquitto
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")

WAITS = {"aggregator.server.probe:PATIENCE": 1.0, "edge_client.federation.transfers:PATIENCE": 1.0}

LIMITS = {
    "message_size_limit 32768": "does not pass on messages of 65592 bytes",
    "max_packet_size 32768": "ends the connection when it is sent a message of 65592 bytes",
}
"""A line of its settings, and what the aggregator says."""


@pytest.fixture(params=LIMITS)
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Mosquitto, str]]:
    """Start a Mosquitto with a limit, and give what is to be said of it."""
    leave_out_without_mosquitto()
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder, request.param)
    broker.start()
    yield broker, LIMITS[request.param]
    broker.kill()


def test_both_sides_say_that_chunks_do_not_pass_and_smaller_ones_do(
    limited: tuple[Mosquitto, str], tmp_path: Path, clips: Clips
) -> None:
    broker, words = limited
    with Processes(tmp_path, clips) as them:
        them.waits = WAITS
        aggregator = them.serve(broker.port)
        devices = [them.run(number, broker.port) for number in range(2)]
        them.wait(lambda: aggregator.said(words), "the aggregator says it")
        them.wait(
            lambda: all(device.said("broker may not pass on messages") for device in devices),
            "the devices say it",
        )
        aggregator.kill()
        them.more = ("--chunk", "16384")
        them.serve(broker.port)
        them.finish(simulated(clips.whole))
