"""An aggregator whose folder is put back to an earlier state, while its devices have gone on."""

import shutil
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.end_to_end.federation.processes import DEVICES, Clips, Processes, simulated

pytestmark = pytest.mark.usefixtures("environment")


def test_a_round_that_the_aggregator_knows_no_more_is_done_again(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    copy = tmp_path / "copy"
    with Processes(tmp_path, clips) as them:
        them.more = ("--rounds", "1", "--stay")
        aggregator = them.serve(mosquitto.port)
        devices = [them.run(number, mosquitto.port) for number in range(DEVICES)]
        them.wait(lambda: them.reached(1, "done"), "round 1 is done")
        aggregator.kill()
        shutil.copytree(them.state.path, copy)
        them.more = ()
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: them.reached(2, "done"), "round 2 is done")
        them.wait(
            lambda: all(each.said("Round 2: the update was accepted") for each in devices),
            "the devices know it",
        )
        aggregator.kill()
        shutil.rmtree(them.state.path)
        shutil.copytree(copy, them.state.path)
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: them.reached(2, "done"), "round 2 is done again")
        for said in (aggregator, *devices):
            assert said.said("the aggregator was put back to an earlier state")
        refusals = them.read(lambda history: history.refusals())
        assert {refusal.reason for refusal in refusals} == {"forgotten"}
        assert them.weights().tobytes() == simulated(clips.whole).tobytes()
        assert all(them.remembered(number)["round"] == 2 for number in range(DEVICES))
