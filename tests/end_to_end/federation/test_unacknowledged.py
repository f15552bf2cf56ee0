"""A broker that takes what it is sent and acknowledges it no more, with real processes."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from aggregator.broker.packets import Kind
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.proxy import proxy_to

pytestmark = pytest.mark.usefixtures("environment")

WORDS = "acknowledges no more what it is sent"


def none_acknowledged(packets: Iterator[bytes]) -> Iterable[bytes]:
    """Lose all acknowledgements of what was published."""
    return (packet for packet in packets if packet[0] >> 4 != Kind.PUBACK)


@pytest.mark.parametrize("whose", ["the aggregator's", "a device's"])
def test_both_sides_leave_it_and_come_back_to_it(
    whose: str, tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with proxy_to(mosquitto.port) as way, Processes(tmp_path, clips) as them:
        way.fates[1] = none_acknowledged
        them.waits = {"shared.mqtt.connection:UNACKNOWLEDGED": 2.0}
        of_aggregator = whose == "the aggregator's"
        aggregator = them.serve(way.port if of_aggregator else mosquitto.port)
        device = them.run(0, mosquitto.port if of_aggregator else way.port)
        process = aggregator if of_aggregator else device
        them.wait(lambda: process.said(WORDS), "it is noticed")
        way.fates[1] = None
        them.run(1, mosquitto.port)
        them.finish(simulated(clips.whole))
