"""The starters that ``benchmarks/device.py`` lets devices hear with."""

import itertools
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from benchmarks.device import starters
from edge_client.cli import app
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.features.voice_file import load_voice
from shared.starter import beside
from shared.weights import load_weights


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Write clips of synthetic voices, in folders by label and speaker."""
    place = tmp_path / "clips"
    corpus = load_corpus("synthetic", None, speakers=4, clips_per_speaker=8)
    for number, clip in enumerate(corpus.labelled):
        own = place / str(clip.label) / clip.speaker
        own.mkdir(parents=True, exist_ok=True)
        soundfile.write(own / f"{number}.wav", clip.read(), RATE)
    return place


def test_devices_hear_with_what_the_command_makes(clips: Path, tmp_path: Path) -> None:
    options = Namespace(
        starter=f"manifest={clips}",
        normalisation="voice",
        copies=1,
        folds=4,
        fold=1,
        floor=-70.0,
        seed=0,
    )
    (measured,) = starters(options, tmp_path)
    (tested,) = {clip.speaker for clip in measured.clips}
    others = tmp_path / "others"
    for label in clips.iterdir():
        (others / label.name).mkdir(parents=True)
        for speaker in label.iterdir():
            if speaker.name != tested:
                (others / label.name / speaker.name).symlink_to(speaker)
    output = tmp_path / "made.safetensors"
    line = ["--corpus", f"manifest={others}", "--copies", "1", "--output", str(output)]
    made = CliRunner().invoke(app, ["starter", *line])
    assert made.exit_code == 0, made.output
    heard, commanded = (load_weights(path)[0] for path in (tmp_path / "1.safetensors", output))
    np.testing.assert_allclose(heard, commanded, atol=1e-6)
    voices = [load_voice(path, measured.task) for path in tmp_path.glob("*.voice.safetensors")]
    given = dict(itertools.pairwise(measured.options))
    assert given["--voice"] == beside(tmp_path / "1.safetensors", "voice")
    assert len({voice.digest for voice in voices}) == 1
