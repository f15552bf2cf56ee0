"""An aggregator whose folder is put back to an earlier state, while its devices have gone on."""

import shutil
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize("lost", [1, 3])
def test_rounds_that_the_aggregator_knows_no_more_are_done_again(
    lost: int, tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    copy, last = tmp_path / "copy", 1 + lost
    with Processes(tmp_path, clips) as them:
        them.more = ("--rounds", "1", "--stay")
        aggregator = them.serve(mosquitto.port)
        devices = [them.run(number, mosquitto.port) for number in range(DEVICES)]
        them.wait(lambda: them.reached(1, "done"), "round 1 is done")
        aggregator.kill()
        shutil.copytree(them.state.path, copy)
        them.more = ("--rounds", str(last))
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: them.reached(last, "done"), "the last round is done")
        them.wait(
            lambda: all(each.said(f"Round {last}: the update was accepted") for each in devices),
            "the devices know it",
        )
        aggregator.kill()
        shutil.rmtree(them.state.path)
        shutil.copytree(copy, them.state.path)
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: them.reached(last, "done"), "all is done again")
        for said in (aggregator, *devices):
            assert said.said("the aggregator was put back to an earlier state")
        refusals = them.read(lambda history: history.refusals())
        assert {refusal.reason for refusal in refusals} == {"forgotten"}
        assert them.weights().tobytes() == simulated(clips.whole, rounds=last).tobytes()
        assert all(them.remembered(number)["round"] == last for number in range(DEVICES))
