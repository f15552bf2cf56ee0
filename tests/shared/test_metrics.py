import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.errors import TrainingError, WeightsError
from shared.metrics import Scores, confusion, mean_loss, predicted, softmax
from shared.task import DEFAULT_TASK

NAMES = DEFAULT_TASK.names

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60).map(
    np.array
)


def test_rows_are_the_truth() -> None:
    matrix = confusion([0, 0, 3], [0, 1, 1], 4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "predictions"), [([0], [0, 1]), ([4], [0]), ([0], [-1]), ([[0]], [[0]])]
)
def test_labels_that_cannot_be(labels: list[Any], predictions: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"must be 0 to 3|do not match"):
        confusion(labels, predictions, 4)


def test_scores_by_hand() -> None:
    scores = Scores.from_confusion(
        np.array([[3, 1, 0, 0], [0, 2, 0, 2], [1, 1, 2, 0], [0, 0, 0, 4]]), NAMES
    )
    assert scores.accuracy == pytest.approx(11 / 16)
    assert scores.uar == scores.recall == pytest.approx((0.75 + 0.5 + 0.5 + 1) / 4)
    assert scores.precision == pytest.approx((3 / 4 + 2 / 4 + 1 + 4 / 6) / 4)
    assert scores.macro_f1 == pytest.approx((6 / 8 + 4 / 8 + 4 / 6 + 8 / 10) / 4)
    assert scores.classes["angry"].support == 4
    assert scores.classes["sad"].f1 == pytest.approx(0.8)


def test_absent_emotion_counts_in_no_average() -> None:
    scores = Scores.from_confusion(confusion([0, 0, 1, 1], [0, 0, 1, 0], 4), NAMES)
    assert scores.uar == scores.recall == 0.75
    assert scores.classes["sad"].support == 0


def test_emotion_only_recognised_counts_in_all_but_uar() -> None:
    scores = Scores.from_confusion(confusion([0, 0, 0, 0], [0, 0, 0, 3], 4), NAMES)
    assert scores.uar == 0.75
    assert scores.recall == 0.375


@settings(deadline=None)
@given(answers)
def test_agrees_with_scikit_learn(pairs: NDArray[np.int64]) -> None:
    from sklearn import metrics

    truth, found = pairs.T
    scores = Scores.from_confusion(confusion(truth, found, 4), NAMES)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, found, average="macro", zero_division=0
    )
    known = sorted({*truth.tolist()})
    uar = metrics.recall_score(truth, found, average="macro", labels=known, zero_division=0)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(truth, found))
    assert scores.uar == pytest.approx(uar)
    assert (scores.precision, scores.recall, scores.macro_f1) == pytest.approx(
        (precision, recall, f1)
    )
    each = metrics.precision_recall_fscore_support(
        truth, found, labels=[0, 1, 2, 3], zero_division=0
    )
    for ours, theirs in zip(scores.classes.values(), zip(*each, strict=True), strict=True):
        assert dataclasses.astuple(ours) == pytest.approx(theirs)


@settings(deadline=None)
@given(answers, answers)
def test_counts_of_two_devices_add_up(one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
    both = np.concatenate([one, other])
    summed = confusion(one[:, 0], one[:, 1], 4) + confusion(other[:, 0], other[:, 1], 4)
    assert Scores.from_confusion(summed, NAMES) == Scores.from_confusion(
        confusion(both[:, 0], both[:, 1], 4), NAMES
    )


@pytest.mark.parametrize("size", [2, 8, 32])
def test_there_may_be_any_number_of_labels(size: int) -> None:
    names = [f"label{place}" for place in range(size)]
    labels = np.repeat(np.arange(size), 2)
    found = labels.copy()
    found[-1] = 0
    scores = Scores.from_confusion(confusion(labels, found, size), names)
    assert list(scores.classes) == names
    assert scores.uar == pytest.approx(1 - 0.5 / size)
    with pytest.raises(ValueError, match=f"must be 0 to {size - 1}"):
        confusion([size], [0], size)


def test_nothing_to_score() -> None:
    with pytest.raises(TrainingError, match="no utterances"):
        Scores.from_confusion(confusion([], [], 4), NAMES)
    with pytest.raises(ValueError, match="not a confusion matrix"):
        Scores.from_confusion(np.ones((3, 3), np.int64), NAMES)


def test_scores_are_json() -> None:
    scores = Scores.from_confusion(confusion([0, 1, 2, 3], [0, 1, 2, 2], 4), NAMES)
    facts = scores.to_dict()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["classes"]["neutral"] == {"precision": 0.5, "recall": 1, "f1": 2 / 3, "support": 1}
    assert facts["confusion"][3] == [0, 0, 1, 0]


def test_mean_loss() -> None:
    assert mean_loss([[0.0, 0, 0, 0], [math.log(3), 0, 0, 0]], [2, 0]) == pytest.approx(
        (math.log(4) + math.log(2)) / 2
    )
    # Where exponentials overflow and logarithms of zero wait.
    assert mean_loss([[10_000, 0, 0, 0]], [1]) == 10_000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_no_label(value: float) -> None:
    logits = np.array([[0.1, 0.7, 0.2], [0.3, 0.1, 0.2]], np.float32)
    assert predicted(logits).tolist() == [1, 0]
    logits[1, 2] = value
    with pytest.raises(WeightsError, match="weights are too large"):
        predicted(logits)


def test_softmax() -> None:
    assert softmax([math.log(3), 0, -5000, 0])[:2].tolist() == pytest.approx([0.6, 0.2])
    probabilities = softmax(np.array([[1e30, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    assert probabilities.dtype == np.float32
    assert probabilities.tolist() == [[1, 0, 0, 0], [0.25] * 4]
