"""A recording of real speech, and ``edge-client run`` that hears it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.architectures import ARCHITECTURES
from shared.audio import RATE, read_clip
from shared.weights import initial_weights, save_weights
from tests.end_to_end.conftest import EDGE_CLIENT

BOUND = 60.0
"""Seconds after which waiting is a failure; a busy machine is slow."""


def clips(speech: Path) -> list[NDArray[np.float32]]:
    """Read four clips of one actor."""
    paths = sorted((speech / "ravdess" / "Actor_01").glob("*.flac"))
    return [read_clip(path) for path in paths[20:24]]


@pytest.fixture(scope="session")
def recording(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write four utterances of real speech, with pauses between them."""
    import soundfile

    rng = np.random.default_rng(0)
    pause = np.float32(1e-4) * rng.standard_normal(RATE, np.float32)
    parts = [part for clip in clips(speech) for part in (pause, clip)]
    path = tmp_path_factory.mktemp("recording") / "four.wav"
    soundfile.write(path, np.concatenate([*parts, pause, pause]), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write weights of ``conv``, fresh: what they say does not matter here."""
    path = tmp_path_factory.mktemp("model") / "conv.safetensors"
    architecture = ARCHITECTURES["conv"]
    save_weights(path, initial_weights(architecture, np.random.default_rng(0)), architecture)
    return path


def command(*arguments: str | Path) -> list[str]:
    """Give the command line of an offline run."""
    return [str(EDGE_CLIENT), "run", "--offline", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=BOUND, check=False
    )
