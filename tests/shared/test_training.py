"""What a client is told about its training, and what it trains on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError, TrainingError
from shared.task import DEFAULT_TASK
from shared.training import Examples, TrainingSettings


def examples(count: int = 3) -> Examples:
    return Examples(
        np.zeros((count, 100, 34), np.float32),
        np.full(count, 100, np.int32),
        np.arange(count, dtype=np.int32) % 4,
    )


@given(
    examples=st.integers(1, 10_000),
    batch=st.integers(1, 1024),
    epochs=st.none() | st.integers(1, 10_000),
)
def test_an_epoch_has_a_step_for_each_begun_batch(
    examples: int, batch: int, epochs: int | None
) -> None:
    steps = TrainingSettings(batch_size=batch, epochs=epochs).total_steps(examples)
    each, rest = divmod(steps, epochs or 1)
    assert rest == 0
    assert (each - 1) * batch < examples <= each * batch


def test_steps_stand_instead_of_epochs() -> None:
    assert TrainingSettings(steps=7, batch_size=2).total_steps(1000) == 7
    with pytest.raises(SettingsError, match="epochs or steps, not both"):
        TrainingSettings.parse({"steps": 7, "epochs": 2})


def test_momentum_belongs_to_sgd() -> None:
    assert TrainingSettings(optimizer="sgd", momentum=0.9).momentum == 0.9
    with pytest.raises(SettingsError, match="momentum belongs to the optimizer sgd"):
        TrainingSettings.parse({"momentum": 0.9})


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_learning_rate_is_positive_and_finite(rate: float) -> None:
    with pytest.raises(SettingsError, match="learning_rate"):
        TrainingSettings.parse({"learning_rate": rate})


def test_good_examples_pass() -> None:
    examples().check(DEFAULT_TASK)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (examples(0), "no examples to train on"),
        (replace(examples(), labels=np.array([0, 4, 1], np.int32)), "label is outside 0 to 3"),
        (replace(examples(), labels=np.array([0, -1, 1], np.int32)), "label is outside 0 to 3"),
        (replace(examples(), features=np.zeros((3, 99, 34), np.float32)), "shape"),
        (replace(examples(), frames=np.zeros(2, np.int32)), "shape"),
        (replace(examples(), features=np.full((3, 100, 34), np.nan, np.float32)), "not finite"),
    ],
)
def test_bad_examples_are_refused(bad: Examples, sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence):
        bad.check(DEFAULT_TASK)


def test_taking_keeps_features_frames_and_labels_together() -> None:
    whole = Examples(
        np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 100, 34), np.float32),
        np.array([10, 11, 12], np.int32),
        np.array([0, 1, 2], np.int32),
    )
    taken = whole.take(np.array([2, 0]))
    assert len(taken) == 2
    assert taken.features[:, 0, 0].tolist() == [2, 0]
    assert taken.frames.tolist() == [12, 10]
    assert taken.labels.tolist() == [2, 0]
