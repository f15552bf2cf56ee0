"""Utterances of any length on a device's engine: padding never changes a result."""

import numpy as np
import pytest

from edge_client.learning.training import Trained, train
from edge_client.tflite.engine import TfliteEngine
from shared.errors import TrainingError
from shared.inference import Inference
from shared.lengths import padded
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from tests.edge_client.tflite.cases import MODELS, batch, weights

TDNN = MODELS["tdnn of another task"]
SETTINGS = TrainingSettings(optimizer="sgd", learning_rate=0.1, dropout=False)


@pytest.fixture(scope="module")
def engine() -> TfliteEngine:
    return TfliteEngine(TDNN, threads=1)


def trained(engine: TfliteEngine, examples: Examples, settings: TrainingSettings) -> Trained:
    start = weights(TDNN)
    outcome = train(engine, start, examples, settings, lambda *names: stream(0, *names))
    assert isinstance(outcome, Trained)
    return outcome


def test_padding_changes_nothing(engine: TfliteEngine) -> None:
    features, frames, labels = batch(7, TDNN.at(90))
    longer = np.concatenate([features, np.ones((7, 210, 40), np.float32)], axis=1)
    settings = TrainingSettings(batch_size=4)
    short = trained(engine, Examples(features, frames, labels), settings)
    long = trained(engine, Examples(longer, frames, labels), settings)
    assert np.array_equal(short.weights, long.weights)
    vector = short.weights
    logits = engine.logits(vector, features, frames)
    assert np.array_equal(logits, engine.logits(vector, longer, frames))
    inference = Inference(TDNN, vector, threads=1)
    for one, more, true, row in zip(features, longer, frames, logits, strict=True):
        found = inference.logits(one, int(true))
        assert np.array_equal(found, inference.logits(more, int(true)))
        assert np.array_equal(found, inference.logits(one[:true], int(true)))
        assert np.abs(found - row).max() <= 1e-5


def test_a_step_does_not_depend_on_the_length_it_is_padded_to(engine: TfliteEngine) -> None:
    features, frames, labels = batch(7, TDNN.at(90))
    ends = []
    for length in (100, 200):
        start = weights(TDNN)
        engine.begin(start, SETTINGS, anchor=start)
        loss = engine.step(padded(features, frames, length), frames, labels, 0)
        ends.append((loss, engine.weights()))
    assert ends[0][0] == pytest.approx(ends[1][0], abs=1e-6)
    assert np.abs(ends[0][1] - start).max() > 1e-3
    assert np.abs(ends[0][1] - ends[1][1]).max() <= 1e-6


@pytest.mark.parametrize("head_only", [False, True])
def test_training_goes_on_at_another_length(engine: TfliteEngine, *, head_only: bool) -> None:
    features, frames, labels = batch(7, TDNN.at(90))
    ends = []
    for lengths in ((100, 100, 100), (100, 150, 100)):
        start = weights(TDNN)
        settings = SETTINGS.model_copy(update={"head_only": head_only})
        engine.begin(start, settings, anchor=start)
        for length in lengths:
            engine.step(padded(features, frames, length), frames, labels, 0)
        ends.append(engine.weights())
    assert np.abs(ends[0] - ends[1]).max() <= 1e-5
    assert np.abs(ends[0] - start).max() > 1e-3


def test_an_utterance_of_one_frame_is_recognised_and_learnt(engine: TfliteEngine) -> None:
    features, _, labels = batch(3, TDNN)
    frames = np.array([1, TDNN.reach - 1, TDNN.reach], np.int32)
    outcome = trained(engine, Examples(features, frames, labels), SETTINGS)
    assert np.isfinite(outcome.weights).all()
    logits = engine.logits(outcome.weights, features, frames)
    alone = Inference(TDNN, outcome.weights, threads=1).logits(features[0], 1)
    assert np.abs(alone - logits[0]).max() <= 1e-5
    changed = features.copy()
    changed[0, 1:] += 1
    assert np.array_equal(logits, engine.logits(outcome.weights, changed, frames))


def test_inference_keeps_few_lengths_and_takes_new_weights_at_all() -> None:
    features, _, _ = batch(1, TDNN.at(500))
    first, second = weights(TDNN), 2 * weights(TDNN)
    inference, other = (Inference(TDNN, vector, threads=1) for vector in (first, second))
    lengths = (40, 90, 140, 190, 240, 290, 40)
    before = [inference.logits(features[0], true) for true in lengths]
    assert np.array_equal(before[0], before[-1])
    assert len(inference._sessions) == 4
    inference.use(second)
    for true in lengths:
        again = inference.logits(features[0], true)
        assert np.array_equal(again, other.logits(features[0], true))


def test_features_of_another_shape_are_refused() -> None:
    inference = Inference(TDNN, weights(TDNN), threads=1)
    for wrong in (np.zeros((60, 39), np.float32), np.zeros((40, 40), np.float32)):
        with pytest.raises(TrainingError, match=r"features of shape \(60, 40\)"):
            inference.logits(wrong, 60)


def test_lengths_mean_nothing_to_a_model_that_flattens() -> None:
    conv = MODELS["conv"]
    engine, vector = TfliteEngine(conv, threads=1), weights(conv)
    features, frames, labels = batch(5)
    ends = []
    for lengths in (frames, np.full(5, 100, np.int32)):
        engine.begin(vector, SETTINGS, anchor=vector)
        loss = engine.step(features, lengths, labels, 0)
        ends.append((loss, engine.weights().tobytes(), engine.logits(vector, features, lengths)))
    assert ends[0][:2] == ends[1][:2]
    assert np.array_equal(ends[0][2], ends[1][2])
