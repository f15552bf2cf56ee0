"""The engine in whichever runtime is installed, against Keras and against itself."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from edge_client.learning.training import OptimizerState, Progress, Trained, train
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import Architecture
from shared.errors import TrainingError, WeightsError
from shared.inference import Inference
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights
from tests.edge_client.tflite.cases import (
    CASES,
    MODELS,
    MOMENTUM,
    RATE,
    STEPS_BATCH,
    Case,
    batch,
    draw_masks,
    sample,
    steps,
    weights,
)
from tests.edge_client.tflite.conftest import Reference

CONV = MODELS["conv"]


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def engine(model: str) -> TfliteEngine:
    return TfliteEngine(MODELS[model], threads=1)


@pytest.fixture(scope="module")
def conv() -> TfliteEngine:
    return TfliteEngine(CONV, threads=2)


def begin(engine: TfliteEngine, **settings: object) -> Weights:
    start = weights(engine.architecture)
    engine.begin(start, TrainingSettings.model_validate(settings), anchor=start)
    return start


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_step_equals_keras(
    engine: TfliteEngine, model: str, case: Case, optimizer: str, reference: Reference
) -> None:
    expected = reference(model)
    begin(engine, optimizer=optimizer, learning_rate=RATE, dropout=case.dropout)
    loss = engine.step(*batch(case.size, engine.architecture), seed=case.size)
    assert loss == pytest.approx(float(expected[f"{case.name}/loss"]), abs=1e-5)
    for number, tensor in enumerate(sample(engine.weights(), engine.architecture)):
        wanted = expected[f"{case.name}/{optimizer}/{number}"]
        assert np.abs(tensor - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_inference_equals_keras(engine: TfliteEngine, model: str, reference: Reference) -> None:
    expected = reference(model)
    vector = weights(engine.architecture)
    for case in (case for case in CASES if not case.dropout):
        features, frames, _ = batch(case.size, engine.architecture)
        wanted = expected[f"{case.name}/logits"]
        assert np.abs(engine.logits(vector, features, frames) - wanted).max() <= 1e-5
    inference = Inference(engine.architecture, vector, threads=1)
    few = zip(features[:3], frames[:3], strict=True)
    found = np.stack([inference.logits(utterance, int(true)) for utterance, true in few])
    assert np.abs(found - wanted[:3]).max() <= 1e-5


def test_steps_equal_keras(engine: TfliteEngine, model: str, reference: Reference) -> None:
    begin(engine, learning_rate=1e-4)
    given = batch(STEPS_BATCH, engine.architecture)
    losses = [engine.step(*given, seed=step) for step in range(steps(engine.architecture))]
    assert np.abs(losses - reference(model)["losses"]).max() <= 1e-2


def test_only_the_head_changes_and_as_in_full_training(engine: TfliteEngine) -> None:
    head = engine.architecture.head_offset
    start, given = begin(engine, learning_rate=RATE), batch(7, engine.architecture)
    engine.step(*given, seed=1)
    full = engine.weights()
    begin(engine, learning_rate=RATE, head_only=True)
    engine.step(*given, seed=1)
    changed = engine.weights()
    assert np.array_equal(changed[:head], start[:head])
    assert (changed[head:] != start[head:]).mean() > 0.1
    assert np.abs(changed[head:] - full[head:]).max() <= 1e-5
    assert {slot.size for slot in engine.optimizer().slots.values()} == {start.size - head}


def test_a_model_learns_twenty_examples(conv: TfliteEngine) -> None:
    begin(conv, learning_rate=3e-3, dropout=False)
    features, frames, labels = batch(20)
    for step in range(30):
        loss = conv.step(features, frames, labels, seed=step)
    assert loss < 0.1
    assert (conv.logits(conv.weights(), features, frames).argmax(1) == labels).all()


@pytest.mark.parametrize("dropout", [False, True])
def test_a_large_batch_is_the_mean_of_its_turns(conv: TfliteEngine, *, dropout: bool) -> None:
    features, frames, labels = batch(45)
    start = begin(conv, optimizer="sgd", learning_rate=1.0, batch_size=45, dropout=dropout)
    loss = conv.step(features, frames, labels, seed=3)
    change = conv.weights() - start
    assert np.abs(change).max() > 1e-3
    if dropout:
        return
    expected = np.zeros_like(change)
    mean = 0.0
    for part in (slice(0, 20), slice(20, 40), slice(40, 45)):
        begin(conv, optimizer="sgd", learning_rate=1.0, dropout=False)
        count = len(labels[part])
        mean += conv.step(features[part], frames[part], labels[part], seed=0) * count / 45
        expected += (conv.weights() - start) * count / 45
    assert loss == pytest.approx(mean, abs=1e-5)
    assert np.abs(change - expected).max() <= 1e-5


def test_fedprox_pulls_to_the_global_weights(conv: TfliteEngine) -> None:
    start = weights(conv.architecture)
    anchor = start + np.float32(0.1)
    mu, rate = 0.5, 0.01
    changes = []
    for proximal in (0.0, mu):
        settings = TrainingSettings(
            optimizer="sgd", learning_rate=rate, proximal=proximal, dropout=False
        )
        conv.begin(start, settings, anchor=anchor)
        conv.step(*batch(7), seed=0)
        changes.append(conv.weights())
    assert np.allclose(changes[1] - changes[0], rate * mu * 0.1, atol=1e-6)


@pytest.mark.parametrize("head_only", [False, True])
def test_scaffold_corrects_the_gradient(conv: TfliteEngine, *, head_only: bool) -> None:
    start = weights(conv.architecture)
    correction = np.random.default_rng(0).standard_normal(start.size).astype(np.float32)
    settings = TrainingSettings(
        optimizer="sgd", learning_rate=0.01, dropout=False, head_only=head_only
    )
    changes = []
    for given in (None, correction):
        conv.begin(start, settings, anchor=start, correction=given)
        conv.step(*batch(7), seed=0)
        changes.append(conv.weights())
    first = conv.architecture.head_offset if head_only else 0
    assert np.allclose((changes[1] - changes[0])[first:], -0.01 * correction[first:], atol=1e-6)
    assert np.array_equal(changes[1][:first], start[:first])


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": MOMENTUM},
        {"optimizer": "adam", "head_only": True},
    ],
    ids=str,
)
def test_a_stopped_run_goes_on_bit_for_bit(conv: TfliteEngine, settings: dict[str, object]) -> None:
    examples = Examples(*batch(30))
    chosen = TrainingSettings.model_validate({"batch_size": 8, "epochs": 2, **settings})
    start = weights(conv.architecture)

    def streams(*names: str | int) -> np.random.Generator:
        return stream(0, *names)

    whole = train(conv, start, examples, chosen, streams)
    part = train(conv, start, examples, chosen, streams, stop=lambda step: step == 3)
    assert isinstance(whole, Trained)
    assert isinstance(part, Progress)
    assert part.step == 3
    other = TfliteEngine(conv.architecture, threads=2)
    rest = train(other, part, examples, chosen, streams, anchor=start)
    assert isinstance(rest, Trained)
    assert np.array_equal(rest.weights, whole.weights)
    assert rest.loss == whole.loss


def test_the_number_of_threads_changes_nothing_but_rounding() -> None:
    ends = []
    for threads in (1, 2):
        engine = TfliteEngine(CONV, threads=threads)
        begin(engine, optimizer="sgd", learning_rate=1.0)
        engine.step(*batch(20), seed=1)
        ends.append(engine.weights())
    assert np.abs(ends[0] - ends[1]).max() <= 1e-5


@pytest.mark.parametrize("model", [name for name in MODELS if name != "head"])
def test_masks_drop_a_fifth_and_repeat_with_their_seed(model: str) -> None:
    masks = draw_masks(MODELS[model], 4)
    values = np.concatenate([mask.reshape(-1) for mask in masks])
    assert set(np.unique(values)) == {0.0, 1.25}
    assert (values == 0).mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / values.size))
    again = np.concatenate([mask.reshape(-1) for mask in draw_masks(MODELS[model], 4)])
    other = np.concatenate([mask.reshape(-1) for mask in draw_masks(MODELS[model], 5)])
    assert np.array_equal(values, again)
    assert not np.array_equal(values, other)


def test_softmax_regression_has_no_dropout() -> None:
    assert draw_masks(MODELS["head"], 4) == []


def spoiled(architecture: Architecture) -> Weights:
    vector = weights(architecture)
    vector[17] = np.nan
    return vector


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda _: np.zeros(MODELS["lstm"].parameters, np.float32), "for conv"),
        (lambda a: weights(a).astype(np.float64), "are float64"),
        (lambda a: weights(a)[:-1], "of shape"),
        (spoiled, "not finite"),
    ],
    ids=["another model", "dtype", "shape", "nan"],
)
def test_bad_weights_leave_the_state_intact(
    conv: TfliteEngine, bad: Callable[[Architecture], Weights], says: str
) -> None:
    begin(conv)
    conv.step(*batch(7), seed=0)
    before, vector = conv.weights(), bad(conv.architecture)
    good = weights(conv.architecture)
    settings = TrainingSettings()
    for attempt in (
        lambda: conv.begin(vector, settings, anchor=good),
        lambda: conv.begin(good, settings, anchor=vector),
        lambda: conv.begin(good, settings, anchor=good, correction=vector),
        lambda: conv.logits(vector, *batch(1)[:2]),
        lambda: Inference(conv.architecture, vector),
    ):
        with pytest.raises(WeightsError, match=says) as caught:
            attempt()
        assert caught.value.remedy
    assert np.array_equal(conv.weights(), before)
    conv.step(*batch(7), seed=1)


def test_a_bad_batch_leaves_the_state_intact(conv: TfliteEngine) -> None:
    begin(conv)
    before = conv.weights()
    features, frames, labels = batch(7)
    spoilt = features.copy()
    spoilt[3, 4, 5] = np.inf
    for bad, true, wrong in (
        (features[:, :90], frames, labels),
        (features[:, :, :33], frames, labels),
        (features[:6], frames, labels),
        (features, frames[:6], labels),
        (features[:0], frames[:0], labels[:0]),
        (features, frames, labels + 4),
        (features, frames, labels - 4),
        (spoilt, frames, labels),
    ):
        with pytest.raises(TrainingError):
            conv.step(bad, true, wrong, seed=0)
    assert np.array_equal(conv.weights(), before)
    assert conv.optimizer().step == 0


def test_a_loss_that_is_not_finite_changes_nothing(conv: TfliteEngine) -> None:
    start = weights(conv.architecture) * np.float32(1e12)
    conv.begin(start, TrainingSettings(), anchor=start)
    loss = conv.step(*batch(7), seed=0)
    assert not np.isfinite(loss)
    assert np.array_equal(conv.weights(), start)


def test_the_optimiser_state_stays_as_it_was_given(conv: TfliteEngine) -> None:
    begin(conv)
    conv.step(*batch(7), seed=0)
    state = conv.optimizer()
    before = state.slots["m"].copy()
    conv.step(*batch(7), seed=1)
    assert np.array_equal(state.slots["m"], before)
    assert not np.array_equal(conv.optimizer().slots["m"], before)


def test_an_engine_that_was_released_works_again(conv: TfliteEngine) -> None:
    features, frames, labels = batch(7)
    ends = []
    for _ in range(2):
        begin(conv)
        conv.step(features, frames, labels, seed=0)
        ends.append(conv.weights())
        conv.release()
        assert np.isfinite(conv.logits(ends[0], features, frames)).all()
        with pytest.raises(ValueError, match="not begun"):
            conv.weights()
    assert np.array_equal(ends[0], ends[1])


def test_the_optimiser_state_of_another_training_is_refused(conv: TfliteEngine) -> None:
    start = weights(conv.architecture)
    state = OptimizerState(3, {"m": np.zeros(5, np.float32), "v": np.zeros(5, np.float32)})
    with pytest.raises(TrainingError, match="optimiser"):
        conv.begin(start, TrainingSettings(), anchor=start, optimizer=state)


def test_the_device_imports_neither_tensorflow_nor_the_converters() -> None:
    program = (
        "import sys, edge_client.tflite.engine, shared.inference;"
        "assert not {'tensorflow', 'keras', 'converters'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
