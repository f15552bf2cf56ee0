"""What ``benchmarks/heard.py`` makes audible of features, and what it counts as understood."""

import numpy as np
import pytest

from benchmarks.heard import sound_of, understood
from shared.corpora import load_corpus
from shared.front_ends.paper34 import FEATURE_NAMES, frame_features
from shared.randomness import stream


def test_sound_made_of_features_has_their_loudness_and_spectrum() -> None:
    clip = load_corpus("synthetic", None, speakers=1, clips_per_speaker=4).clips[0]
    true = frame_features(clip.read())
    found = frame_features(sound_of(true, stream(0, "sound", 0)))
    assert len(found) == len(true)
    for name in ("energy", "mfcc_2", "mfcc_3"):
        column = FEATURE_NAMES.index(name)
        alike = np.corrcoef(found[:, column], true[:, column])[0, 1]
        assert alike > 0.7, name


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("Kids are talking by the door!", 1.0),
        ("", 0.0),
        ("The door, the door, the door.", 2 / 6),
        ("Dogs are sitting by the door.", 4 / 6),
    ],
)
def test_words_are_understood_whatever_their_place_and_each_once(said: str, share: float) -> None:
    assert understood(said, "Kids are talking by the door.") == pytest.approx(share)
