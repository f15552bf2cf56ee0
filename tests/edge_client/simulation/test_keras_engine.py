"""The Keras engine against Keras' own training, and against an engine of NumPy."""

import sys
from collections.abc import Callable
from functools import cache, partial
from types import FrameType
from typing import Any

import numpy as np
import pytest

from converters.keras_import import import_tensorflow
from converters.keras_models import build, set_weights
from edge_client.learning.training import Engine, OptimizerState, Progress, Trained, train
from edge_client.simulation.keras_engine import KerasEngine
from shared.architectures import Architecture, architecture_of
from shared.layers import HEAD, LSTM, Conv1D, Dense, StatisticsPooling
from shared.randomness import stream
from shared.task import DEFAULT_TASK
from shared.training import TrainingSettings
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

ARCHITECTURES = {
    "dense": Architecture(
        "dense", (Conv1D("conv1", 3), Dense("dense1", 4), Dense(HEAD, 4), Dense("logits", 4, False))
    ),
    "lstm": Architecture(
        "lstm",
        (
            LSTM("lstm1", 3, sequences=True),
            LSTM("lstm2", 3, sequences=False),
            Dense(HEAD, 4),
            Dense("logits", 4, hidden=False),
        ),
    ),
}
"""Small ones of the same kinds of layers as the real ones."""

POOLING = Architecture(
    "pooling", (StatisticsPooling("pool"), Dense(HEAD, 4), Dense("logits", 4, hidden=False))
)

EXAMPLES = examples(20)
STREAMS = partial(stream, 0, "training", "client")
TRAININGS = {
    "adam": TrainingSettings(learning_rate=0.01, dropout=False),
    "sgd": TrainingSettings(optimizer="sgd", learning_rate=0.05, momentum=0.9, dropout=False),
    "plain sgd": TrainingSettings(optimizer="sgd", learning_rate=0.05, dropout=False),
}


@cache
def engine_of(architecture: Architecture) -> KerasEngine:
    return KerasEngine(architecture)


@pytest.fixture
def engine() -> KerasEngine:
    return engine_of(TINY)


def fresh(architecture: Architecture, seed: int = 0) -> Weights:
    return initial_weights(architecture, np.random.default_rng(seed))


def trained(
    engine: Engine, settings: TrainingSettings, start: Weights | Progress, **options: Any
) -> Trained:
    outcome = train(engine, start, EXAMPLES, settings, STREAMS, **options)
    assert isinstance(outcome, Trained)
    return outcome


def called(work: Callable[[], object]) -> set[str]:
    """Name the functions of Python that work calls."""
    names = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            names.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return names


def flat(model: Any) -> Weights:
    return np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables])


@pytest.mark.parametrize(("name", "kind"), [("dense", "adam"), ("dense", "sgd"), ("lstm", "adam")])
def test_steps_equal_those_of_keras(name: str, kind: str) -> None:
    architecture, settings = ARCHITECTURES[name], TRAININGS[kind]
    engine, start = engine_of(architecture), fresh(architecture)
    engine.begin(start, settings, anchor=start)
    import keras

    rate = settings.learning_rate
    model = build(architecture, dropout=0)
    set_weights(model, architecture, start)
    model.compile(
        optimizer=keras.optimizers.Adam(rate)
        if kind == "adam"
        else keras.optimizers.SGD(rate, momentum=settings.momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    for _ in range(2):
        loss = engine.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 0)
        theirs = model.train_on_batch(EXAMPLES.features, EXAMPLES.labels)
        assert loss == pytest.approx(float(theirs), rel=1e-5)
    assert np.abs(engine.weights() - start).max() > rate / 10
    np.testing.assert_allclose(engine.weights(), flat(model), atol=2e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_the_model(name: str) -> None:
    architecture = ARCHITECTURES[name]
    engine, weights = engine_of(architecture), fresh(architecture, 3)
    model = build(architecture)
    set_weights(model, architecture, weights)
    many = examples(300)
    expected = model(many.features, training=False).numpy()
    np.testing.assert_allclose(
        engine.logits(weights, many.features, many.frames), expected, atol=1e-5
    )


@pytest.mark.parametrize("change", [{}, {"proximal": 0.5}, {"head_only": True}])
@pytest.mark.parametrize("kind", TRAININGS)
def test_epochs_equal_those_worked_out_by_hand(
    engine: KerasEngine, kind: str, change: dict[str, Any]
) -> None:
    settings = TRAININGS[kind].model_copy(update={"batch_size": 8, "epochs": 2, **change})
    start = fresh(TINY)
    ours = trained(engine, settings, start)
    theirs = trained(NumpyEngine(), settings, start)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert np.abs(ours.weights - start).max() > settings.learning_rate / 10
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=2e-5)


@pytest.mark.parametrize("kind", ["adam", "plain sgd"])
def test_corrections_are_added_to_the_gradients(engine: KerasEngine, kind: str) -> None:
    settings = TRAININGS[kind].model_copy(update={"batch_size": 8})
    start = fresh(TINY)
    correction = 0.1 * np.random.default_rng(1).standard_normal(len(start), np.float32)
    ours = trained(engine, settings, start, correction=correction)
    theirs = trained(NumpyEngine(), settings, start, correction=correction)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=2e-5)
    without = trained(engine, settings, start)
    assert np.abs(without.weights - ours.weights).max() > 1e-3
    again = trained(engine, settings, start, correction=-correction)
    assert np.abs(again.weights - ours.weights).max() > 1e-3, "each run has its own"


def test_one_step_s_gradient_is_the_tape_s_with_pull_and_correction() -> None:
    architecture = ARCHITECTURES["dense"]
    engine, start, anchor = engine_of(architecture), fresh(architecture), fresh(architecture, 1)
    correction = np.random.default_rng(2).standard_normal(len(start)).astype(np.float32)
    settings = TRAININGS["plain sgd"].model_copy(update={"proximal": 0.3})
    engine.begin(start, settings, anchor=anchor, correction=correction)
    engine.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 0)
    tf = import_tensorflow()
    model = build(architecture, dropout=0)
    set_weights(model, architecture, start)
    with tf.GradientTape() as tape:
        logits = model(EXAMPLES.features)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(EXAMPLES.labels, logits)
        loss = tf.reduce_mean(losses)
    tape_gradients = tape.gradient(loss, model.trainable_variables)
    gradient = np.concatenate([gradient.numpy().ravel() for gradient in tape_gradients])
    gradient += 0.3 * (start - anchor) + correction
    np.testing.assert_allclose(engine.weights(), start - 0.05 * gradient, atol=1e-6)


def test_a_large_model_trains_with_pull_and_correction() -> None:
    architecture = architecture_of("dense", DEFAULT_TASK)
    engine, start = KerasEngine(architecture), fresh(architecture)
    settings = TRAININGS["plain sgd"].model_copy(update={"proximal": 0.3})
    engine.begin(start, settings, anchor=start, correction=np.ones_like(start))
    engine.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 0)
    # The bias of a unit that no example wakes is changed by the correction alone.
    moved = engine.weights() - start
    assert np.median(moved) == pytest.approx(-settings.learning_rate, rel=1e-3)


def test_head_only_leaves_the_body_untouched() -> None:
    architecture = ARCHITECTURES["dense"]
    engine, start = engine_of(architecture), fresh(architecture)
    outcome = trained(engine, TrainingSettings(head_only=True, learning_rate=0.01), start)
    head = architecture.head_offset
    np.testing.assert_array_equal(outcome.weights[:head], start[:head])
    assert (outcome.weights[head:] != start[head:]).mean() > 0.5
    whole = trained(engine, TrainingSettings(learning_rate=0.01), start)
    assert (whole.weights[:head] != start[:head]).mean() > 0.5


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(batch_size=6, epochs=2, proximal=0.1, learning_rate=0.01),
        TrainingSettings(optimizer="sgd", momentum=0.9, batch_size=6, epochs=2),
        TrainingSettings(head_only=True, batch_size=6, epochs=2, augmentation=True),
    ],
)
def test_stopped_and_resumed_ends_in_the_same_bit_for_bit(settings: TrainingSettings) -> None:
    architecture = ARCHITECTURES["dense"]
    engine, start = engine_of(architecture), fresh(architecture)
    whole = trained(engine, settings, start)
    for step in (0, 3, settings.total_steps(len(EXAMPLES)) - 1):
        half = train(engine, start, EXAMPLES, settings, STREAMS, stop=lambda n, at=step: n == at)  # type: ignore[misc] # a bound default
        assert isinstance(half, Progress)
        trained(engine, settings, fresh(architecture, 9))  # something else in between
        rest = trained(engine, settings, half, anchor=start)
        assert rest.weights.tobytes() == whole.weights.tobytes()
        assert rest.loss == whole.loss


def test_a_new_start_forgets_the_optimiser(engine: KerasEngine) -> None:
    settings, start = TrainingSettings(epochs=2), fresh(TINY)
    first = trained(engine, settings, start)
    second = trained(engine, settings, start)
    assert first.weights.tobytes() == second.weights.tobytes()


def test_the_optimiser_s_state_goes_on(engine: KerasEngine) -> None:
    settings, start = TrainingSettings(steps=2, dropout=False), fresh(TINY)
    engine.begin(start, settings, anchor=start)
    for _ in range(3):
        engine.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 0)
    state = engine.optimizer()
    assert state.step == 3
    assert set(state.slots) == {"m", "v"}
    whole = NumpyEngine()
    whole.begin(start, settings, anchor=start)
    for _ in range(3):
        whole.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 0)
    for name, slot in whole.optimizer().slots.items():
        np.testing.assert_allclose(state.slots[name], slot, atol=1e-6)
    engine.begin(start, TRAININGS["sgd"], anchor=start, optimizer=OptimizerState())
    assert not engine.optimizer().slots["momentum"].any()


def test_dropout_comes_from_its_seed(engine: KerasEngine) -> None:
    start = fresh(TINY)
    settings = TrainingSettings(optimizer="sgd", learning_rate=1.0)

    def step(seed: int) -> bytes:
        engine.begin(start, settings, anchor=start)
        engine.step(EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, seed)
        return engine.weights().tobytes()

    seeds = [0, 1, 1 << 32, (1 << 63) - 1]
    assert len({step(seed) for seed in seeds}) == len(seeds), "all of its bits count"
    assert step(1) == step(1)


@pytest.mark.parametrize("shift", range(16))  # TensorFlow may use aligned memory as it is
def test_training_leaves_the_global_weights_as_they_are(engine: KerasEngine, shift: int) -> None:
    start = np.empty(TINY.parameters + 16, np.float32)[shift:][: TINY.parameters]
    start[:] = fresh(TINY)
    slots = {name: start.copy() for name in ("m", "v")}
    before = start.copy()
    optimizer = OptimizerState(3, slots)
    for _ in range(2):
        engine.begin(start, TRAININGS["adam"], anchor=start, optimizer=optimizer)
        engine.step(EXAMPLES.features[:4], EXAMPLES.frames[:4], EXAMPLES.labels[:4], 0)
        assert not np.array_equal(engine.weights(), before)
        for array in (start, *slots.values()):
            assert np.array_equal(array, before)


@pytest.mark.parametrize("architecture", [TINY, POOLING], ids=lambda one: one.name)
def test_a_step_prints_none_of_its_arrays(architecture: Architecture) -> None:
    """TensorFlow does so where arguments do not match at once, and it takes half of the time."""
    engine = engine_of(architecture)
    engine.begin(fresh(architecture), TRAININGS["adam"], anchor=fresh(architecture))
    step = partial(engine.step, EXAMPLES.features, EXAMPLES.frames, EXAMPLES.labels, 1)
    assert "array2string" in called(lambda: repr(EXAMPLES.features))
    assert "array2string" not in called(step)
