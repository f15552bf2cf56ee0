"""Real processes through Mosquitto end in the weights of their simulation, bit for bit."""

from pathlib import Path

import pytest

from aggregator.settings import AggregatorSettings
from shared.front_ends import WHISPER, front_end_named
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import ROUNDS, Clips, simulated
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam"])
@pytest.mark.parametrize("model", ["conv", "lstm"])
def test_a_federation_ends_in_the_weights_of_its_simulation(
    model: str, strategy: str, tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    # As they are, and as an aggregator wants them unless told otherwise.
    codec = "float32" if strategy == "fedavg" else AggregatorSettings().codecs[0]
    expected = simulated(clips.whole, model, strategy, codec)
    more = ("--strategy", strategy, "--codecs", codec)
    with Processes(tmp_path, clips, model, *more) as them:
        them.serve(mosquitto.port)
        # What a device computes does not depend on its threads.
        them.run(0, mosquitto.port, threads=1)
        them.run(1, mosquitto.port, threads=2 if model == "conv" else 1)
        them.finish(expected)


def test_models_that_travel_as_differences_end_in_the_weights_of_the_simulation(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    expected = simulated(clips.whole, strategy="fedadam", codec="int8", download="int8")
    more = ("--strategy", "fedadam", "--codecs", "int8", "--download-codec", "int8")
    with Processes(tmp_path, clips, "conv", *more) as them:
        them.serve(mosquitto.port)
        them.run(0, mosquitto.port, threads=1)
        them.run(1, mosquitto.port, threads=1)
        them.finish(expected)
        versions = them.read(lambda history: history.versions())
        assert [version.difference is None for version in versions] == [*[False] * ROUNDS, True]


EIGHT = labels_of(("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm"))
MFCC40 = front_end_named("mfcc40").shape


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("conv", Task(EIGHT, PAPER34)),
        ("tdnn", Task(DEFAULT_TASK.labels, MFCC40)),
        ("head", Task(DEFAULT_TASK.labels, WHISPER)),
    ],
    ids=["eight labels", "mfcc40", "an encoder"],
)
def test_a_federation_of_another_task_ends_in_the_weights_of_its_simulation(
    model: str, task: Task, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    clips = Clips.write(tmp_path, task)
    expected = simulated(clips.whole, model, task=task)
    with Processes(tmp_path, clips, model) as them:
        them.serve(mosquitto.port)
        them.run(0, mosquitto.port)
        them.run(1, mosquitto.port)
        them.finish(expected)
