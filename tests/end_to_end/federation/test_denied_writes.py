"""A broker whose access rules let devices read and not write, with real processes."""

from pathlib import Path

import pytest

from tests.brokers import Mosquitto, leave_out_without_mosquitto
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")

RULES = """
topic read chorus/#
topic write chorus/+/round
topic write chorus/+/models/+
topic write chorus/+/clients/+/replies
"""


def test_a_device_that_may_not_write_is_told_to_look_at_the_rules(
    tmp_path: Path, clips: Clips
) -> None:
    leave_out_without_mosquitto()
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (folder / "rules").write_text(RULES)
    (folder / "rules").chmod(0o700)
    broker = Mosquitto(folder, f"acl_file {folder / 'rules'}")
    broker.start()
    with Processes(tmp_path, clips) as them:
        them.serve(broker.port)
        device = them.run(0, broker.port)
        them.wait(lambda: device.said("access rules do not let this device write"), "it says so")
    broker.kill()
