"""How a person shows emotions, told from what they have said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.features.expression import FEWEST, MOST, Expression
from shared.features.normalisation import RunningStatistics
from shared.features.statistics import knowing, remembering
from shared.features.voice import VoiceStatistics
from shared.front_ends import FRONT_ENDS
from tests.shared.features.voice_models import expressions, said, voice_model, voice_of

PEOPLE = expressions()
LABELS = np.resize(np.arange(3), 60)


def shown(apart: float, seed: int, labels: NDArray[np.int64] = LABELS) -> NDArray[np.float32]:
    """Let somebody say utterances, whose emotions lie so many deviations apart from everybody's."""
    rng = np.random.default_rng(seed)
    own = PEOPLE.emotions + apart * rng.standard_normal((3, 4)) * np.sqrt(PEOPLE.spread)
    points = own[labels] + rng.standard_normal((len(labels), 4)) * np.sqrt(PEOPLE.rest)
    return np.asarray(points @ PEOPLE.lift, np.float32)


def right(vectors: NDArray[Any], labels: NDArray[np.int64] = LABELS) -> float:
    """Count how often an utterance is nearest to the mean of its emotion among all people's."""
    apart = np.square(vectors[:, None] @ PEOPLE.projection.T - PEOPLE.emotions).sum(axis=-1)
    return float((apart.argmin(axis=1) == labels).mean())


def test_who_shows_emotions_otherwise_is_heard_as_everybody() -> None:
    before, after = [], []
    for seed in range(30):
        vectors = shown(1.0, seed)
        before.append(right(vectors))
        after.append(right(PEOPLE.infer(vectors).without(vectors)))
    assert np.mean(after) > np.mean(before) + 0.05
    assert np.mean(np.greater_equal(after, before)) > 0.8


def test_it_holds_for_what_is_said_later() -> None:
    before, after = [], []
    for seed in range(30):
        vectors = shown(1.0, seed)
        first, later = vectors[:30], vectors[30:]
        before.append(right(later, LABELS[30:]))
        after.append(right(PEOPLE.infer(first).without(later), LABELS[30:]))
    assert np.mean(after) > np.mean(before) + 0.05


def test_who_shows_them_as_everybody_loses_nothing() -> None:
    losses = [
        right(vectors) - right(PEOPLE.infer(vectors).without(vectors))
        for vectors in (shown(0.0, seed) for seed in range(30))
    ]
    assert np.mean(losses) < 0.01


def test_in_one_mood_all_day_the_other_emotions_stay_everybody_s() -> None:
    far = replace(PEOPLE, emotions=3 * PEOPLE.emotions)
    vectors = shown(1.0, 3, np.ones(60, np.int64)) + (2 * PEOPLE.emotions[1]) @ PEOPLE.lift
    away = np.abs(far.infer(vectors).means - far.emotions).max(axis=1)
    assert away[1] > 3 * max(away[0], away[2])


def test_what_the_person_said_is_believed() -> None:
    before, after = [], []
    for seed in range(30):
        vectors = shown(1.5, seed)
        said = np.where(np.arange(60) < 20, LABELS, -1).astype(np.int32)
        before.append(right(PEOPLE.infer(vectors).without(vectors)))
        after.append(right(PEOPLE.infer(vectors, said).without(vectors)))
    assert np.mean(after) > np.mean(before)
    nothing = PEOPLE.infer(vectors, np.full(60, -1))
    np.testing.assert_array_equal(nothing.means, PEOPLE.infer(vectors).means)
    wrong = PEOPLE.infer(vectors, (LABELS + 1) % 3)
    assert right(wrong.without(vectors)) < right(nothing.without(vectors)) - 0.1


def test_the_order_tells_nothing() -> None:
    vectors = shown(1.0, 5)
    np.testing.assert_allclose(
        PEOPLE.infer(vectors).means, PEOPLE.infer(vectors[::-1]).means, atol=1e-5
    )


def test_single_vectors_are_heard_as_among_others() -> None:
    vectors = shown(1.0, 6)
    found = PEOPLE.infer(vectors)
    alone = np.stack([found.without(vector[None])[0] for vector in vectors])
    np.testing.assert_allclose(alone, found.without(vectors), atol=1e-5)
    nobody = Expression(PEOPLE, PEOPLE.emotions)
    np.testing.assert_array_equal(nobody.without(vectors), vectors)


MODEL = replace(voice_model(), expressions=PEOPLE)
SAID = said(MODEL, voice_of(MODEL), np.resize(np.arange(3), MOST + 9))[:, None]


def heard() -> VoiceStatistics:
    statistics = VoiceStatistics(MODEL)
    statistics.update(SAID[:, 0])
    return statistics


def test_statistics_that_remember_take_off_what_is_the_person_s_own() -> None:
    statistics = knowing(heard(), np.array([0, 1, 1], np.int32))
    before = statistics.to_dict()
    plain = statistics.normalise(SAID, 1)
    found = remembering(statistics, SAID[-MOST:])
    inferred = PEOPLE.infer(plain[-MOST:, 0])
    np.testing.assert_allclose(found.normalise(SAID, 1), inferred.without(plain), atol=1e-5)
    np.testing.assert_array_equal(statistics.normalise(SAID, 1), plain)
    assert found.to_dict() == statistics.to_dict() == before, "it is not in the state"


def test_the_newest_are_remembered_and_once_more_is_the_same() -> None:
    whole = remembering(heard(), SAID)
    newest = remembering(heard(), SAID[-MOST:])
    np.testing.assert_array_equal(whole.normalise(SAID, 1), newest.normalise(SAID, 1))
    again = remembering(whole, SAID)
    np.testing.assert_array_equal(whole.normalise(SAID, 1), again.normalise(SAID, 1))


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_a_few_utterances_tell_nothing(count: int) -> None:
    statistics = heard()
    assert remembering(statistics, SAID[:count]) is statistics
    assert remembering(statistics, SAID[:FEWEST]) is not statistics


def test_nothing_is_told_where_nothing_says_how_people_differ() -> None:
    plain = VoiceStatistics(voice_model())
    assert remembering(plain, SAID) is plain
    frames = RunningStatistics(FRONT_ENDS.get("paper34"))
    assert remembering(frames, SAID) is frames
