"""Fitting a voice model to labelled speakers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.learning.voice_fitting import fit_voices
from shared.errors import CorpusError
from shared.features.voice import NEVER, VoiceModel, VoiceStatistics
from tests.shared.features.voice_models import said, voice_model, voice_of

TRUE = voice_model(labels=3, coordinates=4, features=6)
LABELS = np.resize(np.arange(3), 40 * 30)
SPEAKERS = np.repeat([f"speaker {number:02}" for number in range(40)], 30)
VECTORS = np.concatenate([said(TRUE, voice_of(TRUE, n), LABELS[:30], n) for n in range(40)])
VECTORS += np.random.default_rng(1).standard_normal(VECTORS.shape).astype(np.float32) * 0.01


@pytest.fixture(scope="module")
def model() -> VoiceModel:
    return fit_voices(VECTORS, LABELS, SPEAKERS, SPEAKERS, 3).model


def test_a_stranger_s_mood_is_told_by_what_was_fitted(model: VoiceModel) -> None:
    right = []
    for seed in range(100, 120):
        mood = seed % 3
        statistics = VoiceStatistics(model)
        statistics.update(said(TRUE, voice_of(TRUE, seed), np.resize([mood], 20), seed))
        right.append(statistics.moods.shares().argmax() == mood)
    assert np.mean(right) > 0.8


def test_coordinates_are_what_they_are_said_to_be(model: VoiceModel) -> None:
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


def test_who_is_heard_in_many_moods_is_believed_and_who_is_in_one_is_not(model: VoiceModel) -> None:
    beliefs: dict[int, list[float]] = {1: [], 3: []}
    for seed in range(100, 110):
        for moods, found in beliefs.items():
            statistics = VoiceStatistics(model)
            statistics.update(said(TRUE, voice_of(TRUE, seed), np.resize(range(moods), 48), seed))
            found.append(statistics.belief())
    assert np.mean(beliefs[3]) > np.mean(beliefs[1]) + 0.3


def test_two_speakers_do_not_show_whom_to_believe() -> None:
    few = np.isin(SPEAKERS, ["speaker 00", "speaker 01"])
    model = fit_voices(VECTORS[few], LABELS[few], SPEAKERS[few], SPEAKERS[few], 3).model
    assert tuple(model.belief) == NEVER


def test_the_same_speakers_give_the_same_model() -> None:
    some = np.arange(len(LABELS)) < 8 * 30
    first, again = (
        fit_voices(VECTORS[some], LABELS[some], SPEAKERS[some], SPEAKERS[some], 3).model
        for _ in range(2)
    )
    assert first.digest == again.digest


def test_one_value_an_utterance_has_a_voice_too() -> None:
    rng = np.random.default_rng(2)
    voices = np.repeat(3 * rng.standard_normal(40), 30)
    heard = (voices + 5 * LABELS + rng.standard_normal(len(LABELS))).astype(np.float32)[:, None]
    model = fit_voices(heard, LABELS, SPEAKERS, SPEAKERS, 3).model
    assert model.spread == pytest.approx(9, rel=0.5)
    assert model.expressions is not None
    found = []
    for first in range(0, 300, 30):
        statistics = VoiceStatistics(model)
        statistics.update(heard[first : first + 30])
        found.append((model.scale * (model.lift @ statistics.moods.voice())).item())
        assert np.isfinite(statistics.normalise(heard[first : first + 30, None], 1)).all()
    assert np.corrcoef(found, voices[:300:30])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (SPEAKERS[0] == SPEAKERS, "All utterances are of one speaker: they do not show"),
        (LABELS > 0, "Of 3 emotions, the utterances have none of 1: they do not show"),
        (np.arange(len(LABELS)) % 200 == 0, "There are .*, and 12 are needed: they do not show"),
    ],
    ids=["one speaker", "an emotion missing", "next to nothing"],
)
def test_a_corpus_that_does_not_show_it_is_refused(where: NDArray[np.bool_], said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        fit_voices(VECTORS[where], LABELS[where], SPEAKERS[where], SPEAKERS[where], 3)


@pytest.mark.parametrize("sounds", [1, 3, 6])
def test_silence_and_copies_do_not_show_it(sounds: int) -> None:
    some = slice(0, 60)
    alike = VECTORS[(LABELS[some] + 3 * np.arange(60)) % sounds]
    with pytest.raises(CorpusError, match="Most utterances of an emotion are alike"):
        fit_voices(alike, LABELS[some], SPEAKERS[some], SPEAKERS[some], 3)
