"""A broker whose access rules let somebody read and not write, with real processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, leave_out_without_mosquitto
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")

OF_THE_AGGREGATOR = """
topic write chorus/+/round
topic write chorus/+/models/+
topic write chorus/+/clients/+/replies
"""
OF_DEVICES = """
topic write chorus/+/clients/+/presence
topic write chorus/+/clients/+/requests
topic write chorus/+/clients/+/chunks
"""


@contextmanager
def with_rules(folder: Path, *rules: str) -> Iterator[int]:
    """Start a Mosquitto on which everybody may read, and write what these rules say; its port."""
    leave_out_without_mosquitto()
    folder.mkdir()
    (folder / "rules").write_text("".join(("topic read chorus/#", *rules)))
    (folder / "rules").chmod(0o700)
    broker = Mosquitto(folder, f"acl_file {folder / 'rules'}")
    broker.start()
    yield broker.port
    broker.kill()


def test_a_device_that_may_not_write_is_told_to_look_at_the_rules(
    tmp_path: Path, clips: Clips
) -> None:
    with (
        with_rules(tmp_path / "mosquitto", OF_THE_AGGREGATOR) as port,
        Processes(tmp_path, clips) as them,
    ):
        them.serve(port)
        device = them.run(0, port)
        them.wait(lambda: device.said("access rules do not let this device write"), "it says so")


def test_an_aggregator_that_may_not_write_is_told_too(tmp_path: Path, clips: Clips) -> None:
    with (
        with_rules(tmp_path / "mosquitto", OF_DEVICES) as port,
        Processes(tmp_path, clips) as them,
    ):
        them.waits = {"aggregator.server.echo:PATIENCE": 1.0}
        aggregator = them.serve(port)
        device = them.run(0, port)
        words = "access rules may not let the aggregator write to chorus/chorus/round"
        them.wait(lambda: aggregator.said(words), "it says so")
        them.wait(lambda: device.said("Nobody has announced a round"), "the device says so")
