"""The loop of local training, with an engine of NumPy."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_client.learning.training import Engine, OptimizerState, Progress, Trained, train
from shared.errors import TrainingError
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

START = initial_weights(TINY, np.random.default_rng(0))
STREAMS = partial(stream, 0, "training", "client")


class Recorder(NumpyEngine):
    """Notes which examples each step sees (by a mark in their features), and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []
        self.loss = 1.0

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        assert (frames == 100).all()
        self.batches.append(features[:, 0, 0].astype(int).tolist())
        assert [value % 4 for value in self.batches[-1]] == labels.tolist(), "labels go along"
        self.seeds.append(seed)
        return self.loss


def marked(count: int) -> Examples:
    """Make examples whose first feature is their index."""
    index = np.arange(count)
    features = np.zeros((count, 100, 34), np.float32)
    features[:, 0, 0] = index
    return Examples(features, np.full(count, 100, np.int32), (index % 4).astype(np.int32))


def finish(engine: Engine, start: Weights | Progress, settings: TrainingSettings) -> Trained:
    outcome = train(engine, start, examples(23), settings, STREAMS, anchor=START)
    assert isinstance(outcome, Trained)
    return outcome


@given(count=st.integers(1, 60), size=st.integers(1, 30), epochs=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_each_epoch_takes_every_example_once(count: int, size: int, epochs: int) -> None:
    engine = Recorder()
    train(engine, START, marked(count), TrainingSettings(batch_size=size, epochs=epochs), STREAMS)
    flat = [index for batch in engine.batches for index in batch]
    for epoch in range(epochs):
        assert sorted(flat[epoch * count : (epoch + 1) * count]) == list(range(count))
    sizes = [len(batch) for batch in engine.batches]
    assert sizes == ([size] * (count // size) + [count % size] * (count % size > 0)) * epochs


def test_epochs_are_shuffled_anew() -> None:
    engine = Recorder()
    train(engine, START, marked(40), TrainingSettings(batch_size=40, epochs=2), STREAMS)
    first, second = engine.batches
    assert first != second
    assert first != sorted(first)


@given(count=st.integers(1, 20), steps=st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_steps_instead_of_epochs(count: int, steps: int) -> None:
    engine = Recorder()
    outcome = train(
        engine, START, marked(count), TrainingSettings(batch_size=4, steps=steps), STREAMS
    )
    assert isinstance(outcome, Trained)
    assert outcome.steps == len(engine.batches) == steps
    whole = Recorder()
    epochs = TrainingSettings(batch_size=4, epochs=-(-steps // -(-count // 4)))
    train(whole, START, marked(count), epochs, STREAMS)
    assert engine.batches == whole.batches[:steps], "the same batches as by epochs"


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_stopped_and_resumed_at_any_step_ends_in_the_same(optimizer: str) -> None:
    settings = TrainingSettings.parse(
        {
            "optimizer": optimizer,
            "momentum": 0.9 * (optimizer == "sgd"),
            "batch_size": 5,
            "epochs": 2,
            "learning_rate": 0.01,
            "proximal": 0.1,
            "augmentation": optimizer == "sgd",
        }
    )
    whole_engine = NumpyEngine()
    whole = finish(whole_engine, START, settings)
    for step in range(settings.total_steps(23)):
        first = train(
            NumpyEngine(),
            START,
            examples(23),
            settings,
            STREAMS,
            stop=lambda taken, at=step: taken == at,  # type: ignore[misc] # a bound default
        )
        assert isinstance(first, Progress)
        assert first.step == len(first.losses) == step
        second_engine = NumpyEngine()
        second = finish(second_engine, first, settings)
        np.testing.assert_array_equal(second.weights, whole.weights)
        assert (second.loss, second.steps) == (whole.loss, whole.steps)
        assert second_engine.seeds == whole_engine.seeds[step:], "dropout goes on as it would have"


def test_training_lowers_the_loss_and_leaves_the_start_alone() -> None:
    before = START.copy()
    outcome = finish(NumpyEngine(), START, TrainingSettings(epochs=20, learning_rate=0.01))
    assert outcome.loss < np.log(4)
    np.testing.assert_array_equal(START, before)


def test_the_start_is_the_anchor() -> None:
    settings = TrainingSettings(epochs=3, learning_rate=0.05, proximal=3.0)
    free = finish(NumpyEngine(), START, settings.model_copy(update={"proximal": 0}))
    pulled = train(NumpyEngine(), START, examples(23), settings, STREAMS)
    assert isinstance(pulled, Trained)
    np.testing.assert_array_equal(pulled.weights, finish(NumpyEngine(), START, settings).weights)
    assert np.linalg.norm(pulled.weights - START) < np.linalg.norm(free.weights - START)


def test_a_resumed_run_needs_its_anchor() -> None:
    progress = Progress(0, START, OptimizerState())
    with pytest.raises(ValueError, match="global weights"):
        train(NumpyEngine(), progress, examples(4), TrainingSettings(), STREAMS)


def test_without_dropout_no_seed_is_drawn() -> None:
    engine = Recorder()
    train(engine, START, marked(4), TrainingSettings(dropout=False), STREAMS)
    assert engine.seeds == [0]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training(loss: float) -> None:
    engine = Recorder()
    engine.loss = loss
    with pytest.raises(TrainingError, match="not finite after 1 steps") as caught:
        train(engine, START, marked(4), TrainingSettings(), STREAMS)
    assert "smaller learning rate" in caught.value.remedy


def test_examples_are_checked_first() -> None:
    with pytest.raises(TrainingError, match="no examples"):
        train(NumpyEngine(), START, marked(0), TrainingSettings(), STREAMS)
