"""Words by faster-whisper, with a published model where its folder is named."""

import os
from pathlib import Path

import numpy as np
import pytest

from edge_client.words.whisper import Whisper
from shared.audio import read_clip
from shared.errors import SettingsError

pytest.importorskip("faster_whisper", reason="no faster-whisper: pip install 'chorus-edge[words]'")


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    folder = os.environ.get("CHORUS_WHISPER")
    if not folder:
        pytest.skip("no speech recogniser: name tiny.en's folder with CHORUS_WHISPER")
    return Whisper(folder)


def test_real_speech_becomes_words(whisper: Whisper, speech: Path) -> None:
    clip = speech / "ravdess/Actor_02/03-01-01-01-01-01-02.flac"
    assert whisper.words(read_clip(clip)).lower().strip(".") == "kids are talking by the door"


def test_silence_has_no_words(whisper: Whisper) -> None:
    assert len(whisper.words(np.zeros(16_000, np.float32))) < 10


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no speech recogniser tiny\.klingon"):
        Whisper("tiny.klingon")
    with pytest.raises(SettingsError, match=r"There is no speech recogniser .*: "):
        Whisper(str(tmp_path))
