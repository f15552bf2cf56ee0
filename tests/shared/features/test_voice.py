"""Telling a voice from a mood."""

import json
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.features.moods import BEAM, EXPRESSED, log_prior
from shared.features.normalisation import RunningStatistics
from shared.features.statistics import knowing
from shared.features.voice import CLIP, OPINION, VoiceModel, VoiceStatistics
from shared.front_ends import FRONT_ENDS
from tests.shared.features.voice_models import Vectors, said, voice_model, voice_of

MODEL = voice_model()
LABELS, COORDINATES = MODEL.emotions.shape


def heard(vectors: Vectors) -> VoiceStatistics:
    statistics = VoiceStatistics(MODEL)
    statistics.update(vectors)
    return statistics


def exact_shares(vectors: Vectors) -> NDArray[np.float64]:
    """Weigh every way to label the utterances, and to show emotions, by their joint Gaussian."""
    from scipy.stats import multivariate_normal

    found = MODEL.coordinates(vectors)
    count = len(found)
    covariance = np.kron(np.ones((count, count)), np.diag(MODEL.spread))
    covariance += np.eye(count * COORDINATES)
    ways = list(product(product(range(LABELS), repeat=count), EXPRESSED))
    counts = np.array([np.bincount(way, minlength=LABELS) for way, _ in ways])
    rest = [(found - shown * MODEL.emotions[list(way)]).ravel() for way, shown in ways]
    logs = log_prior(counts) + multivariate_normal.logpdf(rest, cov=covariance)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights @ counts / weights.sum())


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_those_of_the_exact_posterior(seed: int) -> None:
    emotions = np.random.default_rng(seed).integers(0, LABELS, 5)
    vectors = said(MODEL, voice_of(MODEL, seed), emotions, seed)
    np.testing.assert_allclose(heard(vectors).moods.shares(), exact_shares(vectors), atol=1e-8)


def test_the_order_does_not_matter() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.array([0, 1, 1, 2]))
    voices = [heard(vectors[list(order)]).moods.voice() for order in permutations(range(4))]
    np.testing.assert_allclose(voices, [voices[0]] * len(voices), atol=1e-8)


def test_probabilities_of_all_ways_to_label_add_up_to_one() -> None:
    counts = [np.bincount(way, minlength=3) for way in product(range(3), repeat=4)]
    assert np.exp(log_prior(np.array(counts))).sum() == pytest.approx(1)


@pytest.mark.parametrize("moods", [[0], [2], [0, 1], [0, 1, 2]])
def test_a_voice_is_told_from_moods(moods: list[int]) -> None:
    errors, naive = [], []
    for seed in range(20):
        voice, emotions = voice_of(MODEL, seed), np.resize(moods, 24)
        vectors = said(MODEL, voice, emotions, seed)
        errors.append(heard(vectors).moods.voice() - voice)
        naive.append(MODEL.coordinates(vectors).mean(axis=0) - voice)
    assert np.square(errors).mean() < np.square(naive).mean() / 2


@pytest.mark.parametrize("shown", EXPRESSED)
def test_a_voice_is_told_from_moods_that_are_shown_less(shown: float) -> None:
    true = replace(MODEL, emotions=shown * MODEL.emotions)
    errors, naive = [], []
    for seed in range(20):
        voice, emotions = voice_of(true, seed), np.resize([0, 1], 24)
        vectors = said(true, voice, emotions, seed)
        errors.append(heard(vectors).moods.voice() - voice)
        naive.append(MODEL.coordinates(vectors).mean(axis=0) - voice)
    assert np.square(errors).mean() < np.square(naive).mean() / 2


def test_what_an_utterance_seems_to_be_is_in_its_vector() -> None:
    emotions = np.resize([0, 1, 2], 30)
    vectors = said(MODEL, voice_of(MODEL), emotions)
    statistics = heard(vectors)
    scaled = MODEL.standardised(vectors)
    seems = statistics.moods.opinion(MODEL.coordinates(vectors))
    np.testing.assert_allclose(seems.sum(axis=1), 1)
    assert (seems.argmax(axis=1) == emotions).mean() > 0.9
    found = statistics.normalise(vectors[:, None], 1)[:, 0] - statistics.without_voice(scaled)
    np.testing.assert_allclose(found @ MODEL.lift, OPINION * seems @ MODEL.around, atol=1e-5)


def test_nothing_is_taken_off_before_something_was_heard() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.array([0]))
    found = VoiceStatistics(MODEL).normalise(vectors, 1)
    expected = np.clip((vectors - MODEL.mean) / MODEL.scale, -CLIP, CLIP)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32


def test_normalised_vectors_have_lost_the_voice() -> None:
    voice, emotions = voice_of(MODEL, 3), np.resize([0, 1, 2], 60)
    vectors = said(MODEL, voice, emotions)
    found = heard(vectors).normalise(vectors[:, None], 1)
    assert found.shape == (60, 1, len(MODEL.mean))
    left = found[:, 0] @ MODEL.lift - MODEL.emotions[emotions]
    assert np.abs(left.mean(axis=0)).max() < 0.5


def test_what_is_followed_stays_bounded() -> None:
    emotions = np.random.default_rng(0).integers(0, LABELS, 200)
    statistics = heard(said(MODEL, voice_of(MODEL), emotions))
    assert len(statistics.moods.counts) == BEAM
    assert (statistics.moods.counts.sum(axis=1) == 200).all()
    np.testing.assert_allclose(statistics.moods.shares(), np.bincount(emotions), atol=20)


def test_a_state_is_restored_exactly() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.resize([0, 2], 12))
    before = heard(vectors[:8])
    after = VoiceStatistics.from_dict(json.loads(json.dumps(before.to_dict())), MODEL)
    for statistics in (before, after):
        statistics.update(vectors[8:])
    assert after.to_dict() == before.to_dict()


def believing(bias: float) -> VoiceModel:
    return replace(MODEL, belief=np.array([bias, 0.0, 0.0, 0.0]))


def test_who_is_believed_is_normalised_by_their_own_mean_and_deviation() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.resize([0, 1, 2], 30))
    statistics = VoiceStatistics(believing(40.0))
    statistics.update(vectors)
    found = statistics.normalise(vectors[:, None], 1)[:, 0]
    expected = np.clip((vectors - vectors.mean(axis=0)) / vectors.std(axis=0), -CLIP, CLIP)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_half_a_belief_is_half_of_each() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.resize([0, 1, 2], 30))
    each = []
    for bias in (-40.0, 0.0, 40.0):
        statistics = VoiceStatistics(believing(bias))
        statistics.update(vectors)
        each.append(statistics.normalise(vectors[:, None], 1))
    np.testing.assert_allclose(each[1], (each[0] + each[2]) / 2, atol=1e-5)


def test_nobody_is_believed_by_one_utterance() -> None:
    statistics = VoiceStatistics(believing(40.0))
    statistics.update(said(MODEL, voice_of(MODEL), np.array([0])))
    assert statistics.belief() == 0


def test_signs_are_of_what_was_heard() -> None:
    vectors = said(MODEL, voice_of(MODEL), np.resize([0, 1, 2], 12))
    even, apart, many = heard(vectors).signs()
    along = MODEL.coordinates(vectors) @ MODEL.axes.T
    assert apart == pytest.approx(np.log1p(along.var(axis=0).sum()))
    assert many == pytest.approx(np.log(12))
    shares = heard(vectors).moods.shares() / 12
    assert even == pytest.approx(-(shares * np.log(shares)).sum() / np.log(3))
    assert not heard(vectors[:0]).signs().any()


def evenness(shares: NDArray[Any]) -> float:
    shares = np.maximum(shares / shares.sum(), 1e-300)
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))


def test_what_a_person_said_counts_as_said_and_the_rest_as_inferred() -> None:
    inferred = heard(said(MODEL, voice_of(MODEL), np.array([0] * 9 + [1, 2, 0])))
    before = inferred.to_dict()
    labels = np.array([0, 1, 2], np.int32)
    known = knowing(inferred, labels)
    assert known.signs()[0] == pytest.approx(evenness(1 + inferred.moods.shares() * 9 / 12))
    assert known.signs()[0] > inferred.signs()[0]
    np.testing.assert_array_equal(known.signs()[1:], inferred.signs()[1:])
    everything = knowing(inferred, np.repeat(labels, 4))
    assert everything.signs()[0] == pytest.approx(1)
    one = knowing(inferred, np.zeros(12, np.int32))
    assert one.signs()[0] == pytest.approx(0)
    assert inferred.to_dict() == known.to_dict() == before, "a device keeps labels elsewhere"


def test_more_may_be_said_than_was_heard() -> None:
    """The statistics may have begun anew."""
    known = knowing(
        heard(said(MODEL, voice_of(MODEL), np.array([0]))), np.arange(3, dtype=np.int32)
    )
    assert known.signs()[0] == pytest.approx(1)


def test_running_statistics_have_no_use_for_what_was_said() -> None:
    running = RunningStatistics(FRONT_ENDS.get("paper34"))
    assert knowing(running, np.zeros(3, np.int32)) is running


DAMAGES: list[tuple[str, Any]] = [
    ("model", "another"),
    ("count", 3),
    ("count", None),
    ("total", [0.0]),
    ("total", [float("nan")] * COORDINATES),
    ("sums", [0.0]),
    ("squares", [-1.0] * 6),
    ("squares", [float("inf")] * 6),
    ("apart", -1.0),
    ("apart", "far"),
    ("counts", [[1, 0, 0]]),
    ("counts", [[-1, 2, 1]]),
    ("counts", "many"),
    ("expressed", [0]),
    ("expressed", [len(EXPRESSED)] * 18),
    ("evidence", []),
    ("evidence", [float("inf")]),
    ("evidence", 0.0),
]


@pytest.mark.parametrize(("part", "value"), DAMAGES)
def test_a_damaged_state_is_refused(part: str, value: object) -> None:
    state = heard(said(MODEL, voice_of(MODEL), np.array([0, 1]))).to_dict()
    with pytest.raises(ValueError, match="state"):
        VoiceStatistics.from_dict({**state, part: value}, MODEL)
    with pytest.raises(ValueError, match="not the state"):
        VoiceStatistics.from_dict({key: state[key] for key in state if key != part}, MODEL)


def test_a_state_of_another_model_is_refused() -> None:
    state = heard(said(MODEL, voice_of(MODEL), np.array([0, 1]))).to_dict()
    with pytest.raises(ValueError, match="another model"):
        VoiceStatistics.from_dict(state, voice_model(labels=4))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_or_of_another_shape_is_not_taken_in(value: float) -> None:
    vectors = said(MODEL, voice_of(MODEL), np.array([0, 1]))
    statistics = heard(vectors)
    state = statistics.to_dict()
    vectors[1, 2] = value
    with pytest.raises(ValueError, match="finite"):
        statistics.update(vectors)
    with pytest.raises(ValueError, match="shape"):
        statistics.update(vectors[:, 1:])
    assert statistics.to_dict() == state
