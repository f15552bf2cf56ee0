"""Devices of other labels and of other front ends than the paper's."""

from pathlib import Path

import numpy as np
import pytest

from edge_client.device.store import ExampleStore
from shared.architectures import architecture_of
from shared.errors import ChorusError, WeightsError
from shared.features.normalisation import RunningStatistics
from shared.frames import pad
from shared.front_ends import FRONT_ENDS
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from shared.weights import (
    Weights,
    digest,
    initial_weights,
)
from tests.edge_client.device.heard import (
    CONV,
    Open,
    frames,
    hear,
    recognised,
    use_weights,
    utterance,
)

EIGHT = "angry,happy,neutral,sad,fearful,disgusted,surprised,calm"


def test_a_device_with_other_labels_waits_for_a_model_of_them(
    start: Open, weights: Weights
) -> None:
    start().close()  # it keeps a model of four
    with pytest.raises(WeightsError, match="of another task: it recognises angry, happy"):
        start(labels=EIGHT)
    device = start(model=False, labels=EIGHT)
    assert device.recognising.digest is None
    assert device.problem is not None
    assert "is of another task: it recognises angry, happy, neutral, sad instead" in device.problem
    assert "This device waits for one of its own task." in device.problem
    with pytest.raises(WeightsError, match="The new model is of another task"):
        use_weights(device, weights, digest(weights, CONV), CONV)
    assert device.recognising.digest is None
    found = hear(device)
    assert device.correct(found.identifier, "calm").label == "calm"
    assert device.examples().labels.tolist() == [7]
    with pytest.raises(ChorusError, match="There is no label bored here"):
        device.correct(found.identifier, "bored")


def test_a_device_recognises_eight_labels(start: Open) -> None:
    device = start(model=False, labels=EIGHT)
    eight = architecture_of("conv", device.task)
    own = initial_weights(eight, np.random.default_rng(1))
    use_weights(device, own, digest(own, eight))
    assert device.problem is None
    found = hear(device)
    assert len(found.probabilities or ()) == 8
    assert found.predicted in device.task.names
    device.close()
    assert start(model=False, labels=EIGHT).status()["model"]["digest"] == digest(own, eight)


def test_what_another_task_has_left_is_kept_said_and_not_learned_from(
    start: Open, tmp_path: Path
) -> None:
    device = start(labels=EIGHT, model=False)
    for seed, label in enumerate(("calm", "sad", "calm")):
        device.correct(hear(device, seed).identifier, label)
    device.close()
    path = tmp_path / "state" / "examples.sqlite"
    old = Task(DEFAULT_TASK.labels, FrontEndShape("loudness", 3, 10, 2))
    with ExampleStore(path, limit_mb=10, task=old) as store:
        number = store.add(recognised(task=old), frames(1)[:, :2], statistics={"count": 30})
        store.label(number, "sad")
    device = start()
    assert device.problem == (
        "The store holds examples of another task, kept but not learned from: 2 labelled calm, "
        "1 of loudness 3."
    )
    assert len(device.example_keys()) == 1
    assert device.examples().labels.tolist() == [3]
    assert device.recognising.statistics()["count"] > 30, "those of its own front end"
    assert [known.front_end for known in device.recent()][:2] == ["loudness 3", "paper34 1"]
    with ExampleStore(path, limit_mb=10) as store:
        assert store.task == DEFAULT_TASK, "what the device has used it for last"
    with ExampleStore(path, limit_mb=10, task=old) as store:
        assert store.statistics() == {"count": 30}
        assert store.labelled(9) == [4]
        ((_, own),) = store.read([1, 2, 3, 4])
        assert np.array_equal(own, frames(1)[:10, :2])
    device.delete_everything()
    assert device.problem is None
    device.close()
    with ExampleStore(path, limit_mb=10, task=old) as store:
        assert (store.statistics(), store.recent(9)) == (None, [])


def test_a_device_of_mfcc40_keeps_and_normalises_utterances_as_long_as_they_are(
    start: Open,
) -> None:
    mfcc40 = FRONT_ENDS.get("mfcc40")
    device = start(model=False, front_end="mfcc40")
    statistics = RunningStatistics(mfcc40)
    for seed, seconds in ((0, 2.0), (1, 0.5), (2, 3.1)):
        known = hear(device, seed, seconds)
        assert (known.front_end, known.probabilities) == ("mfcc40 1", None)
        device.correct(known.identifier, "sad")
        statistics.update(mfcc40.compute(utterance(seed, seconds).samples))
    examples = device.examples()
    assert examples.features.shape == (3, 350, 40)
    assert examples.frames.tolist() == [201, 51, 311]
    examples.check(Task(DEFAULT_TASK.labels, mfcc40.shape))
    own = pad(mfcc40.compute(utterance(1, 0.5).samples), mfcc40.shape)
    np.testing.assert_array_equal(examples.features[1, :100], statistics.normalise(own, 51))
    device.close()
    again = start(model=False)
    assert len(again.example_keys()) == 0
    assert "3 of mfcc40 1" in (again.problem or "")
