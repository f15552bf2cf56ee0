"""What scripts are run with: clips, a model, an environment, and nobody's settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.architectures import architecture_of
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.task import DEFAULT_TASK
from shared.weights import initial_weights, save_weights

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write clips of one voice into folders named by label."""
    folder = tmp_path_factory.mktemp("clips")
    corpus = load_corpus("synthetic", speakers=1, clips_per_speaker=20)
    for number, clip in enumerate(corpus.clips):
        path = folder / str(clip.label) / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, clip.read(), RATE)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model that has learned nothing."""
    conv = architecture_of("conv", DEFAULT_TASK)
    save_weights(
        tmp_path / "model.safetensors", initial_weights(conv, np.random.default_rng(0)), conv
    )
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="session")
def scripts_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep features here, so that they are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(tmp_path: Path, scripts_cache: Path) -> Run:
    """Run a script in a folder of its own, with no settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}

    def run(script: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, script, *words],
            cwd=tmp_path,
            env={**kept, "CHORUS_CACHE": str(scripts_cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr
        return done

    return run
