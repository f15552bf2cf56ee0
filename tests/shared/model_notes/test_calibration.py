"""How sure a model may be: measured, kept in its file, and refused where it cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.architectures import architecture_of
from shared.errors import WeightsError
from shared.front_ends import WHISPER
from shared.metrics import softmax
from shared.model_notes import NO_NOTES, ModelNotes
from shared.model_notes.calibration import (
    BINS,
    UNMEASURED,
    Calibration,
    Reliability,
    load_calibration,
)
from shared.storage.tensor_file import write_tensors
from shared.task import DEFAULT_TASK, Task
from shared.weights import (
    digest,
    initial_weights,
    load_weights,
    model_metadata,
    save_weights,
    split,
)

HEAD = architecture_of("head", Task(DEFAULT_TASK.labels, WHISPER))
BINS_OF_TWO = {"answers": [0] * 9 + [2], "right": [0] * 9 + [1], "probabilities": [0] * 9 + [1.9]}


def drawn(sharpness: float, count: int = 4000) -> tuple[np.ndarray[Any, Any], Any]:
    """Draw labels by probabilities, and give the logits of these, so many times too sharp."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (count, 4))
    labels = [rng.choice(4, p=one / one.sum()) for one in softmax(logits).astype(np.float64)]
    return (sharpness * logits).astype(np.float32), np.array(labels)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_takes_back_what_was_too_sharp(sharpness: float) -> None:
    logits, labels = drawn(sharpness)
    found = Calibration.measured(logits, labels)
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    assert found.reliability is not None
    assert found.reliability.error < 0.03
    raw = Reliability.of(softmax(logits), labels)
    if sharpness != 1:
        assert raw.error > 0.08
    answers = found.probabilities(logits).argmax(axis=1)
    np.testing.assert_array_equal(answers, logits.argmax(axis=1))


def test_who_is_doubted_twice_as_much_is_half_as_sure() -> None:
    logits, labels = drawn(1.0)
    sharpness = np.exp(np.random.default_rng(1).normal(0, 1, len(logits))).astype(np.float32)
    sharp = logits * sharpness[:, None]
    found = Calibration.measured(sharp, labels, sharpness)
    assert found.temperature == pytest.approx(1, rel=0.1)
    halves = [sharpness < 1, sharpness >= 1]
    errors = [
        Reliability.of(found.probabilities(sharp[half], sharpness[half]), labels[half]).error
        for half in halves
    ]
    assert max(errors) < 0.04
    plain = Calibration.measured(sharp, labels)
    errors = [Reliability.of(plain.probabilities(sharp[h]), labels[h]).error for h in halves]
    assert min(errors) > 0.06
    # A temperature that was measured without doubts is for logits as they are.
    np.testing.assert_array_equal(plain.probabilities(sharp, sharpness), plain.probabilities(sharp))


def test_a_few_right_answers_do_not_make_a_model_certain() -> None:
    found = Calibration.measured(np.eye(4, dtype=np.float32), np.arange(4))
    assert found.temperature is not None
    assert 0.2 < found.temperature < 1


def test_a_calibration_error_by_hand() -> None:
    told = [[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [1.0, 0.0]]
    found = Reliability.of(told, [0, 1, 1, 0])
    assert found.answers == (0, 0, 0, 0, 0, 0, 1, 0, 0, 3)
    assert found.right == (0, 0, 0, 0, 0, 0, 1, 0, 0, 2)
    assert found.error == pytest.approx((abs(1 - 0.65) + abs(2 - 2.9)) / 4)
    assert (found + found).error == pytest.approx(found.error)
    assert (found + found).answers[-1] == 6


def test_answers_below_a_probability_are_counted_in_whole_bins() -> None:
    found = Reliability.of([[0.25, 0.75], [0.45, 0.55], [0.9, 0.1]], [0, 1, 0])
    assert found.below(0.5) == (0, 0)
    assert found.below(0.6) == (1, 0)
    assert found.below(0.79) == (1, 0)
    assert found.below(0.8) == (2, 1)
    assert found.below(1) == (3, 1)


@pytest.mark.parametrize("doubts", [None, np.ones(50, np.float32)])
def test_it_travels_in_the_file_of_a_model(doubts: Any, tmp_path: Path) -> None:
    weights = initial_weights(HEAD, np.random.default_rng(0))
    measured = Calibration.measured(*drawn(2.0, 50), doubts)
    assert measured.doubting is (doubts is not None)
    save_weights(tmp_path / "model", weights, HEAD, ModelNotes(measured))
    assert load_calibration(tmp_path / "model") == measured
    np.testing.assert_array_equal(load_weights(tmp_path / "model", HEAD), weights)
    inherited = measured.inherited()
    assert inherited.reliability is None
    save_weights(tmp_path / "later", weights, HEAD, ModelNotes(inherited))
    assert load_calibration(tmp_path / "later") == inherited


def test_a_file_without_it_is_as_it_always_was(tmp_path: Path) -> None:
    weights = initial_weights(HEAD, np.random.default_rng(0))
    save_weights(tmp_path / "model", weights, HEAD)
    write_tensors(tmp_path / "old", split(weights, HEAD), model_metadata(HEAD))
    assert (tmp_path / "model").read_bytes() == (tmp_path / "old").read_bytes()
    assert load_calibration(tmp_path / "old") == UNMEASURED
    save_weights(tmp_path / "model", weights, HEAD, NO_NOTES)
    assert digest(weights, HEAD) == digest(load_weights(tmp_path / "model", HEAD), HEAD)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "[]",
        "{}",
        pytest.param("[" * 60_000, id="nested deeply"),
        '{"temperature": 0}',
        '{"temperature": -1}',
        '{"temperature": NaN}',
        '{"temperature": 1e999}',
        '{"temperature": "warm"}',
        '{"temperature": [1]}',
        '{"temperature": 1, "reliability": 1}',
        '{"temperature": 1, "doubting": "a little"}',
        '{"temperature": 1, "reliability": {}}',
        *(
            json.dumps({"temperature": 1, "reliability": BINS_OF_TWO | changed})
            for changed in (
                {"answers": [1] * (BINS - 1)},
                {"answers": [-1] * BINS},
                {"right": [0] * 9 + [3]},
                {"right": [0.5] * BINS},
                {"probabilities": [0] * 9 + [2.1]},
                {"probabilities": ["1"] * BINS},
            )
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(told: str, tmp_path: Path) -> None:
    weights = initial_weights(HEAD, np.random.default_rng(0))
    metadata = model_metadata(HEAD) | {"calibration": told}
    write_tensors(tmp_path / "model", split(weights, HEAD), metadata)
    with pytest.raises(WeightsError, match="does not say how sure its answers may be"):
        load_calibration(tmp_path / "model")


def test_what_can_be_is_taken(tmp_path: Path) -> None:
    weights = initial_weights(HEAD, np.random.default_rng(0))
    told = json.dumps({"temperature": 1, "reliability": BINS_OF_TWO})
    metadata = model_metadata(HEAD) | {"calibration": told}
    write_tensors(tmp_path / "model", split(weights, HEAD), metadata)
    found = load_calibration(tmp_path / "model")
    assert found.reliability is not None
    assert found.reliability.below(1) == (2, 1)
