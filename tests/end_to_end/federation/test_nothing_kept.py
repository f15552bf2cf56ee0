"""A broker that keeps no messages for those who come later, with real processes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from aggregator.broker.packets import Kind
from shared.errors import BrokerError
from tests.brokers import Mosquitto, leave_out_without_mosquitto
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Processes
from tests.proxy import proxy_to

pytestmark = pytest.mark.usefixtures("environment")


def test_one_that_says_so_is_left_with_a_sentence(tmp_path: Path, clips: Clips) -> None:
    leave_out_without_mosquitto()
    broker = Mosquitto(tmp_path, "retain_available false")
    broker.start()
    with Processes(tmp_path, clips) as them:
        for process in (them.serve(broker.port), them.run(0, broker.port)):
            assert process.wait() == BrokerError.exit_code
            assert process.said("keeps no messages for those who come later")
            assert process.said("retain_available")
            assert not process.said("chunk")
    broker.kill()


def forgetful(packets: Iterator[bytes]) -> Iterable[bytes]:
    """Take from what is published the wish that it is kept."""
    for packet in packets:
        published = packet[0] >> 4 == Kind.PUBLISH
        yield bytes([packet[0] & 0xFE]) + packet[1:] if published else packet


def test_one_that_does_not_say_so_is_noticed(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with proxy_to(mosquitto.port) as way, Processes(tmp_path, clips) as them:
        way.fates[0] = forgetful
        them.waits = {"aggregator.server.echo:PATIENCE": 1.0}
        aggregator = them.serve(way.port)
        words = "The broker keeps no messages for those who come later"
        them.wait(lambda: aggregator.said(words), "it says so")
