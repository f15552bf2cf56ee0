"""The synthetic corpus: the same from the same seed, and learnable."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audio import RATE
from shared.corpora import load_corpus
from shared.corpora.synthetic import SyntheticSound
from shared.emotions import EMOTIONS
from shared.errors import SettingsError
from shared.features import frame_features
from shared.task import DEFAULT_TASK

sounds = st.builds(
    SyntheticSound,
    seed=st.integers(0, 2**63),
    speaker=st.integers(1, 500),
    label=st.sampled_from(EMOTIONS),
    take=st.integers(1, 500),
)


def test_its_size() -> None:
    corpus = load_corpus("synthetic")
    assert Counter(clip.label for clip in corpus.clips) == dict.fromkeys(EMOTIONS, 168)
    assert len(corpus.speakers) == 24
    assert len({clip.content_key() for clip in corpus.clips}) == 672
    identifiers = [clip.identifier for clip in corpus.clips]
    assert identifiers == sorted(set(identifiers))


def test_its_options() -> None:
    corpus = load_corpus("synthetic", seed=3, speakers=2, clips_per_speaker=8)
    assert (len(corpus.clips), len(corpus.speakers)) == (16, 2)


@pytest.mark.parametrize(
    "options", [{"speakers": 0}, {"clips_per_speaker": 0}, {"clips_per_speaker": 6}]
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="cannot have"):
        load_corpus("synthetic", None, DEFAULT_TASK, **options)


@given(sound=sounds)
@settings(max_examples=50, deadline=None)
def test_sounds_are_utterances_that_features_take(sound: SyntheticSound) -> None:
    samples = sound.read()
    assert samples.dtype == np.float32
    assert 1.2 * RATE <= len(samples) <= 3.2 * RATE
    assert 0.01 < np.abs(samples).max() <= 1
    assert np.isfinite(frame_features(samples)).all()


@given(sound=sounds, other=sounds)
@settings(max_examples=20, deadline=None)
def test_same_parameters_same_sound_same_key(sound: SyntheticSound, other: SyntheticSound) -> None:
    same = np.array_equal(sound.read(), other.read())
    assert same == (sound == other) == (sound.content_key() == other.content_key())
    assert np.array_equal(sound.read(), sound.read())


def test_emotions_can_be_told_apart_but_not_without_mistakes() -> None:
    """Nearest class mean over voices it has not heard, each normalised by its own statistics."""
    corpus = load_corpus("synthetic", speakers=12, clips_per_speaker=16)
    points, labels, speakers = [], [], []
    for speaker in corpus.speakers:
        own = [clip for clip in corpus.clips if clip.speaker == speaker]
        means = np.array([frame_features(clip.read()).mean(axis=0) for clip in own])
        points.append((means - means.mean(axis=0)) / means.std(axis=0))
        labels += [clip.label for clip in own]
        speakers += [speaker] * len(own)
    x, y = np.concatenate(points), np.array(labels)
    heard = np.isin(speakers, corpus.speakers[:9])
    centres = np.array([x[heard & (y == emotion)].mean(axis=0) for emotion in EMOTIONS])
    distance = ((x[~heard, None] - centres) ** 2).sum(axis=-1)
    recall = (np.array(EMOTIONS)[distance.argmin(axis=-1)] == y[~heard]).mean()
    assert 0.6 < recall < 1
