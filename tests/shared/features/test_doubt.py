"""How much answers are doubted: by how far utterances are from what taught the model of voices."""

from dataclasses import replace

import numpy as np
import pytest

from shared.features.doubt import LEAST, MOST, OWN, STRANGE, doubts
from shared.features.expression import Expression
from shared.features.normalisation import RunningStatistics
from shared.features.voice import VoiceStatistics
from tests.edge_client.device.pooled import POOLED
from tests.shared.features.voice_models import (
    Vectors,
    expressions,
    said,
    voice_model,
    voice_of,
)

MODEL = voice_model()
MOODS = np.arange(60) % 3


def heard(vectors: Vectors) -> VoiceStatistics:
    statistics = VoiceStatistics(MODEL)
    statistics.update(vectors)
    return statistics


def test_it_is_the_distance_to_the_nearest_emotion_within_bounds() -> None:
    coordinates = MODEL.emotions[[0, 2, 1]].copy()
    coordinates[1] += np.sqrt(1 + MODEL.spread) * [0.7, 0, 0, 0.9]
    coordinates[2] += 9 * np.sqrt(1 + MODEL.spread)
    vectors = coordinates @ MODEL.lift.T * MODEL.scale + MODEL.mean
    found = doubts(heard(said(MODEL, voice_of(MODEL), MOODS)), vectors[:, None].astype(np.float32))
    apart = MODEL.emotions - coordinates[1]
    far = (apart**2 / (1 + MODEL.spread)).mean(axis=1).min()
    assert LEAST < far < MOST
    assert found == pytest.approx([LEAST, far, MOST])


@pytest.mark.parametrize("seed", range(3))
def test_strangers_who_lie_further_apart_are_doubted_more(seed: int) -> None:
    own = said(MODEL, voice_of(MODEL, seed), MOODS, seed)
    other = own + np.float32(2) * (own - own.mean(axis=0))
    near, far = (doubts(heard(each), each[:, None]).mean() for each in (own, other))
    assert far > 1.3 * near


def test_who_was_heard_in_many_moods_is_doubted_less() -> None:
    vectors = said(MODEL, voice_of(MODEL), MOODS)
    well = heard(vectors)
    well.model = replace(MODEL, belief=np.array([30.0, 0, 0, 0]))
    less, more = (doubts(each, vectors[:, None]) for each in (well, heard(vectors)))
    np.testing.assert_allclose(less, more * np.exp(-OWN), rtol=1e-6)


def test_who_shows_emotions_in_an_own_way_is_doubted_more() -> None:
    vectors, people = said(MODEL, voice_of(MODEL), MOODS), expressions()
    plain, own = heard(vectors), heard(vectors)
    own.expression = Expression(people, people.emotions + 2 * np.sqrt(people.spread))
    more, less = (doubts(each, vectors[:, None]) for each in (own, plain))
    np.testing.assert_allclose(more, less * (1 + STRANGE * 4), rtol=1e-6)
    own.expression = Expression(people, people.emotions)
    np.testing.assert_array_equal(doubts(own, vectors[:, None]), less)


def test_means_and_deviations_say_nothing_of_distances() -> None:
    vectors = np.ones((2, 1, 6), np.float32)
    assert doubts(RunningStatistics(POOLED), vectors).tolist() == [1, 1]
