"""Clips whose features are computed, and the front end that computes them."""

from pathlib import Path

import pytest

from shared.audio import Samples
from shared.corpora import Clip, load_corpus
from shared.corpora.corpus import AudioFile
from shared.frames import Frames
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.task import PAPER34

PAPER = FRONT_ENDS.get("paper34")


def fail(_: Samples) -> Frames:
    pytest.fail("features were computed, not taken from the cache")


CACHED = FrontEnd(PAPER34, 0.1, fail)
"""The paper's features, which may not be computed."""


def clip(path: Path) -> Clip:
    return Clip(path.name, AudioFile(path), "sad", "sad", "anna")


def synthetic(seed: int = 0, each: int = 8) -> tuple[Clip, ...]:
    return load_corpus("synthetic", seed=seed, speakers=4, clips_per_speaker=each).clips
