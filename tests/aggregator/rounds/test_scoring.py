"""What clients tell, summed."""

from dataclasses import replace
from typing import Any

import pytest

from aggregator.ledger import UpdateRecord
from aggregator.rounds.scoring import mean_training_loss, scores_of, summed_confusion
from shared.task import DEFAULT_TASK

TOLD = UpdateRecord(
    round=1, client="a", digest="0", bytes=1, codec="float32", examples=30, norm=1, accepted=0
)


def told(**values: Any) -> UpdateRecord:
    return replace(TOLD, **values)


def test_counts_are_added_but_for_those_that_claim_too_many() -> None:
    right = [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]
    wrong = [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    drowning = [[0, 10**6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    empty = [[0] * 4] * 4
    updates = [told(confusion=c) for c in (right, wrong, drowning, empty, None)]
    counts = summed_confusion(updates, 100)
    assert counts == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]]
    scores = scores_of(counts, DEFAULT_TASK.names)
    assert scores
    assert scores.uar == pytest.approx(3.5 / 4)


def test_who_tells_nothing_is_not_scored() -> None:
    assert summed_confusion([told(), told(confusion=[[0] * 4] * 4)], 100) is None
    assert scores_of(None, DEFAULT_TASK.names) is None
    without_sad = [[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert scores_of(without_sad, DEFAULT_TASK.names) is None, "a mean of three is none of four"
    without_sad[3][0] = 1
    assert scores_of(without_sad, DEFAULT_TASK.names) is not None
    assert mean_training_loss([told()]) is None


def test_losses_are_weighted_by_examples() -> None:
    updates = [told(loss=1.0), told(loss=4.0, examples=10), told(examples=1000)]
    assert mean_training_loss(updates) == pytest.approx(1.75)
