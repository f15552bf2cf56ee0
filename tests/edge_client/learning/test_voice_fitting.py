"""Fitting a voice model to labelled speakers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.learning.voice_fitting import fit_voice
from shared.errors import CorpusError
from shared.features.voice import VoiceStatistics
from tests.shared.features.voice_models import said, voice_model, voice_of

TRUE = voice_model(labels=3, coordinates=4, features=6)
LABELS = np.resize(np.arange(3), 40 * 30)
SPEAKERS = np.repeat([f"speaker {number:02}" for number in range(40)], 30)
VECTORS = np.concatenate([said(TRUE, voice_of(TRUE, n), LABELS[:30], n) for n in range(40)])
VECTORS += np.random.default_rng(1).standard_normal(VECTORS.shape).astype(np.float32) * 0.01


def test_a_stranger_s_mood_is_told_by_what_was_fitted() -> None:
    model = fit_voice(VECTORS, LABELS, SPEAKERS, 3)
    right = []
    for seed in range(100, 120):
        mood = seed % 3
        statistics = VoiceStatistics(model)
        statistics.update(said(TRUE, voice_of(TRUE, seed), np.resize([mood], 20), seed))
        right.append(statistics.shares().argmax() == mood)
    assert np.mean(right) > 0.8


def test_coordinates_are_what_they_are_said_to_be() -> None:
    model = fit_voice(VECTORS, LABELS, SPEAKERS, 3)
    found = model.coordinates(VECTORS)
    np.testing.assert_allclose(
        model.coordinates((found @ model.lift.T) * model.scale + model.mean), found, atol=1e-4
    )
    # Nothing is lost, as there are no more axes than coordinates: the rest is white.
    voices = np.array([found[speaker == SPEAKERS].mean(axis=0) for speaker in np.unique(SPEAKERS)])
    rest = found - np.repeat(voices, 30, axis=0)
    rest -= np.array([rest[label == LABELS].mean(axis=0) for label in range(3)])[LABELS]
    np.testing.assert_allclose(rest.var(axis=0) * 30 / 29, 1, atol=0.15)
    np.testing.assert_allclose(model.spread[-1], voices.var(axis=0)[-1], rtol=0.2)


@pytest.mark.parametrize(
    "where",
    [SPEAKERS[0] == SPEAKERS, LABELS > 0, np.arange(len(LABELS)) % 200 == 0],
    ids=["one speaker", "an emotion missing", "next to nothing"],
)
def test_a_corpus_that_does_not_show_it_is_refused(where: NDArray[np.bool_]) -> None:
    with pytest.raises(CorpusError, match="do not show"):
        fit_voice(VECTORS[where], LABELS[where], SPEAKERS[where], 3)
