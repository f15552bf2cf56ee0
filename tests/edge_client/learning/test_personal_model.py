"""A personal model: never far from the global one without reason, and right where it has one."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_client.learning import personal_model
from edge_client.learning.personal_model import MOST, PersonalModel
from shared.corpora import load_corpus
from shared.errors import TrainingError
from shared.features.cache import extract_features
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from shared.metrics import Scores, confusion, softmax
from shared.task import DEFAULT_TASK
from shared.training import Examples
from tests.edge_client.tiny import examples

Logits = NDArray[np.float32]


def clusters(count: int, seed: int = 0) -> Examples:
    """Make utterances of a user whose emotions sound different, each in its own way."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 4).astype(np.int32)
    sound = 0.6 * np.random.default_rng(7).standard_normal((4, 34))
    features = sound[labels, None] + 0.3 * rng.standard_normal((count, 100, 34))
    frames = rng.integers(20, 101, count).astype(np.int32)
    features *= np.arange(100)[:, None] < frames[:, None, None]
    return Examples(features.astype(np.float32), frames, labels)


def sure(labels: NDArray[np.int32]) -> Logits:
    return np.asarray(6 * np.eye(4)[labels], np.float32)


def recognised(model: PersonalModel, of: Examples, logits: Logits) -> NDArray[np.int64]:
    return np.asarray(model.logits(of.features, of.frames, logits).argmax(1))


def test_without_examples_it_is_the_global_model() -> None:
    heard, logits = clusters(5), np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    model = PersonalModel.fit(heard.take(np.arange(0)), np.zeros((0, 4), np.float32))
    found = model.logits(heard.features, heard.frames, logits)
    np.testing.assert_allclose(softmax(found), softmax(logits), rtol=1e-5)


def test_it_mends_what_the_global_model_mistakes() -> None:
    known, coming = clusters(16), clusters(40, seed=1)
    mistaken = np.array([0, 1, 3, 3], np.int32)  # neutral is always taken for sad
    model = PersonalModel.fit(known, sure(mistaken[known.labels]) / 2)
    logits = sure(mistaken[coming.labels]) / 2
    assert (logits.argmax(1) == coming.labels).mean() == 0.75
    assert (recognised(model, coming, logits) == coming.labels).all()


def vectors(count: int, seed: int = 0) -> Examples:
    """Make utterances of one vector each, as far apart as an encoder's of one person."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 4).astype(np.int32)
    moods = 0.7 * np.random.default_rng(7).standard_normal((4, 200))
    features = moods[labels, None] + 0.7 * rng.standard_normal((count, 1, 200))
    return Examples(features.astype(np.float32), np.ones(count, np.int32), labels)


def test_whoever_is_heard_as_one_vector_is_learned_from_too() -> None:
    known, coming = vectors(16), vectors(40, seed=1)
    voices = known.features[:, 0]
    apart = np.square(voices[:, None] - voices).mean(axis=2)[np.triu_indices(16, 1)]
    assert 1.2 < np.median(apart) < 2.2, "as those of RAVDESS, of which it was 1.8"
    mistaken = np.array([0, 1, 3, 3], np.int32)
    model = PersonalModel.fit(known, sure(mistaken[known.labels]) / 2, temperature=1.0)
    logits = sure(mistaken[coming.labels]) / 2
    assert (logits.argmax(1) == coming.labels).mean() == 0.75
    assert (recognised(model, coming, logits) == coming.labels).mean() > 0.9
    right = PersonalModel.fit(known, sure(known.labels), temperature=1.0)
    assert (recognised(right, coming, sure(coming.labels)) == coming.labels).all()


def test_examples_overrule_a_model_that_is_sure_and_wrong() -> None:
    known, coming = vectors(16), vectors(40, seed=1)
    turned = np.array([1, 2, 3, 0], np.int32)  # as of a person whom nothing has prepared it for
    model = PersonalModel.fit(known, 3 * sure(turned[known.labels]), temperature=1.0)
    answers = recognised(model, coming, 3 * sure(turned[coming.labels]))
    assert (answers == coming.labels).mean() > 0.9


def test_whoever_confirms_a_calibrated_model_leaves_it_as_sure_as_it_is() -> None:
    sure_before, sure_after = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        known, coming = vectors(16, seed), vectors(40, seed=100 + seed)
        logits = rng.normal(0, 2.5, (56, 4)).astype(np.float32)
        said = np.array([rng.choice(4, p=softmax(row)) for row in logits[:16]], np.int32)
        known = Examples(known.features, known.frames, said)  # right as often as it is sure
        model = PersonalModel.fit(known, logits[:16], temperature=1.0)
        found = model.logits(coming.features + 9, coming.frames, logits[16:])
        sure_before.append(softmax(logits[16:]).max(axis=1).mean())
        sure_after.append(np.exp(found).max(axis=1).mean())
    assert np.mean(sure_after) > np.mean(sure_before) - 0.03


def test_what_the_global_model_knows_is_kept() -> None:
    known, coming = clusters(16), clusters(40, seed=1)
    model = PersonalModel.fit(known, sure(known.labels))
    assert (recognised(model, coming, sure(coming.labels)) == coming.labels).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_what_sounds_like_no_example_is_left_to_the_global_model(count: int) -> None:
    known = clusters(count)
    known = Examples(known.features, known.frames, np.zeros(count, np.int32))  # all are angry
    model = PersonalModel.fit(known, sure(np.full(count, 1, np.int32)))
    strange = clusters(8, seed=2)
    strange = Examples(strange.features + 9, np.full(8, 100, np.int32), strange.labels)
    logits = np.random.default_rng(1).normal(0, 2, (8, 4)).astype(np.float32)
    assert (recognised(model, strange, logits) == logits.argmax(1)).all()


def test_examples_that_sound_like_nothing_cannot_mislead_it() -> None:
    """Labels without any relation to the sound: held-out ones say so."""
    known, coming = clusters(16), clusters(200, seed=1)
    model = PersonalModel.fit(examples(16), sure(known.labels))
    random = np.random.default_rng(0).integers(0, 4, 16).astype(np.int32)
    noisy = PersonalModel.fit(Examples(known.features, known.frames, random), sure(random))
    for fitted in (model, noisy):
        right = recognised(fitted, coming, sure(coming.labels)) == coming.labels
        assert right.mean() > 0.9


@given(
    count=st.integers(1, 20),
    seed=st.integers(0, 1000),
    size=st.sampled_from([0.0, 1.0, 30.0, 1e4]),
)
def test_answers_are_probabilities_whatever_comes(count: int, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    known = clusters(count, seed)
    labels = rng.integers(0, 4, count).astype(np.int32)
    logits = (size * rng.standard_normal((count, 4))).astype(np.float32)
    model = PersonalModel.fit(Examples(known.features, known.frames, labels), logits)
    found = model.logits(known.features, known.frames, logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-5)
    assert model.weights.sum() == pytest.approx(1)
    assert (model.weights >= 0).all()


@cache
def answers_in_order(order: tuple[int, ...]) -> Logits:
    """Learn twelve examples in an order; give the logits of eight others."""
    known, coming = clusters(12), clusters(8, seed=1)
    logits = np.random.default_rng(0).normal(0, 2, (12, 4)).astype(np.float32)
    model = PersonalModel.fit(known.take(np.array(order)), logits[[*order]])
    return model.logits(coming.features, coming.frames, logits[:8])


@given(order=st.permutations(range(12)))
def test_the_order_of_few_examples_does_not_matter(order: list[int]) -> None:
    first = answers_in_order(tuple(range(12)))
    np.testing.assert_allclose(answers_in_order(tuple(order)), first, atol=1e-4)


def test_only_the_newest_examples_are_used() -> None:
    known = clusters(MOST + 5)
    logits = np.random.default_rng(0).normal(0, 2, (MOST + 5, 4)).astype(np.float32)
    newest = np.arange(5, MOST + 5)
    models = PersonalModel.fit(known, logits), PersonalModel.fit(known.take(newest), logits[5:])
    np.testing.assert_array_equal(models[0].corrections, models[1].corrections)


def test_the_solver_finds_the_most_probable_correction() -> None:
    """At the optimum the coefficients are what the targets are short of (Rasmussen, eq. 3.21)."""
    rng = np.random.default_rng(0)
    labels, points = rng.integers(0, 4, 14).astype(np.int32), rng.standard_normal((14, 3))
    kernel = 10 * np.exp(-np.square(points[:, None] - points).sum(2))
    kept = np.ones((1, 14), np.bool_)
    means = rng.normal(0, 2, (1, 14, 4))
    found = personal_model._Solver(kernel, kept, labels).solve(means)
    short = np.eye(4)[labels] - softmax(means + kernel @ found)
    np.testing.assert_allclose(found, short, atol=0.01)


def test_held_out_examples_are_predicted_from_the_others_alone() -> None:
    rng = np.random.default_rng(0)
    labels, points = rng.integers(0, 4, 6).astype(np.int32), rng.standard_normal((6, 3))
    kernel = 3 * np.exp(-np.square(points[:, None] - points).sum(2))
    means = rng.normal(0, 2, (6, 4))
    kept, priors = personal_model._kept(6), np.zeros((7, 4))
    solver = personal_model._Solver(kernel, kept, labels)
    score = solver.held_out_score(means, priors, solver.solve(np.tile(means, (7, 1, 1))))
    expected = 0.0
    for out in range(6):
        others = np.delete(np.arange(6), out)
        alone = personal_model._Solver(
            kernel[np.ix_(others, others)], np.ones((1, 5), np.bool_), labels[others]
        )
        (found,) = alone.solve(means[None, others])
        expected += float(np.log(softmax(means[out] + kernel[out, others] @ found)[labels[out]]))
    assert score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [1, 5, 16, 17, 50])
def test_every_example_is_held_out_once(count: int) -> None:
    kept = personal_model._kept(count)
    assert kept[-1].all()
    assert ((~kept).sum(axis=0) == 1).all()
    assert len(kept) == min(count, 16) + 1


def test_any_labels_and_features_are_learned_whatever_lies_behind_the_end() -> None:
    rng, labels = np.random.default_rng(0), (np.arange(32) % 8).astype(np.int32)
    sound, frames = 0.6 * rng.standard_normal((8, 5)), rng.integers(3, 41, 32).astype(np.int32)
    features = (sound[labels, None] + 0.3 * rng.standard_normal((32, 50, 5))).astype(np.float32)
    known = Examples(features, frames, labels)
    model = PersonalModel.fit(known.take(np.arange(16)), np.zeros((16, 8), np.float32))
    coming = known.take(np.arange(16, 32))
    nothing = np.zeros((16, 8), np.float32)
    found = model.logits(coming.features, coming.frames, nothing)
    assert (found.argmax(1) == coming.labels).mean() > 0.9
    behind = coming.features.copy()
    behind[np.arange(50) >= coming.frames[:, None]] = 99
    assert np.array_equal(model.logits(behind, coming.frames, nothing), found)
    longer = np.pad(coming.features, ((0, 0), (0, 50), (0, 0)))
    assert np.array_equal(model.logits(longer, coming.frames, nothing), found)


def test_bad_examples_are_refused() -> None:
    known = clusters(4)
    with pytest.raises(ValueError, match="4 examples do not have logits"):
        PersonalModel.fit(known, np.zeros((3, 4), np.float32))
    wrong = Examples(known.features, known.frames, np.full(4, 4, np.int32))
    with pytest.raises(TrainingError, match="A label is outside"):
        PersonalModel.fit(wrong, np.zeros((4, 4), np.float32))


def test_real_users_are_learnt_from_sixteen_clips(speech: Path) -> None:
    """With a global model that knows nothing, so that all that is right was learnt."""
    total = np.zeros((4, 4), np.int64)
    clips = load_corpus("ravdess", speech / "ravdess").clips
    for speaker in sorted({clip.speaker for clip in clips})[:2]:
        own = [clip for clip in clips if clip.speaker == speaker and clip.label]
        found = extract_features(own, FRONT_ENDS.get("paper34"), progress=False)
        labels = [DEFAULT_TASK.index[clip.label] for clip in found.clips if clip.label]
        statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
        for features, frames in zip(found.features, found.frames, strict=True):
            statistics.update(features[:frames])
        heard = Examples(
            statistics.normalise(found.features, found.frames),
            found.frames,
            np.array(labels, np.int32),
        )
        order = np.random.default_rng(0).permutation(len(heard))
        known, coming = heard.take(order[:16]), heard.take(order[16:])
        nothing = np.zeros((len(heard), 4), np.float32)
        model = PersonalModel.fit(known, nothing[:16])
        answers = recognised(model, coming, nothing[16:])
        total += confusion(coming.labels, answers, 4)
    assert Scores.from_confusion(total, DEFAULT_TASK.names).uar > 0.45


def test_a_measured_temperature_says_how_sure_the_first_answers_are() -> None:
    known, coming = clusters(1), clusters(200, seed=3)
    strange = Examples(coming.features + 9, coming.frames, coming.labels)
    logits = sure(coming.labels) / 2
    told = {
        temperature: softmax(
            PersonalModel.fit(known, sure(known.labels) / 2, temperature).logits(
                strange.features, strange.frames, logits
            )
        ).max(axis=1)
        for temperature in (None, 1.25, 5.0)
    }
    # Near what the calibrated global model says; without a temperature nobody knows.
    np.testing.assert_allclose(told[1.25], softmax(logits / 1.25).max(axis=1), atol=0.08)
    np.testing.assert_allclose(told[5.0], softmax(logits / 5).max(axis=1), atol=0.08)
    assert told[1.25].mean() - told[None].mean() > 0.1


def test_without_examples_it_is_the_calibrated_global_model() -> None:
    heard, logits = clusters(5), np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    model = PersonalModel.fit(heard.take(np.arange(0)), np.zeros((0, 4), np.float32), 2.0)
    found = model.logits(heard.features, heard.frames, logits)
    np.testing.assert_allclose(softmax(found), softmax(logits / 2), rtol=1e-5)
