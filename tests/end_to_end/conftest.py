"""A small corpus, and the command ``edge-client`` in this process or in one of its own."""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge_client.cli import main
from shared.corpora import load_corpus
from tests.architectures import replace_model
from tests.edge_client.tiny import TINY
from tests.end_to_end.federation.clips import Clips

EDGE_CLIENT = Path(sys.executable).with_name("edge-client")
"""The installed command."""

SPEAKERS, EACH = 6, 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a manifest of 48 clips by 6 voices, and 5 that cannot be used."""
    import soundfile

    folder = tmp_path_factory.mktemp("corpus")
    clips = load_corpus("synthetic", speakers=SPEAKERS, clips_per_speaker=EACH).clips
    rows = []
    for number, clip in enumerate(clips):
        name = f"{number}.wav"
        soundfile.write(folder / name, clip.read(), 16_000)
        rows.append([name, clip.label, clip.speaker])
    bad = {
        "nan.wav": np.full(16_000, np.nan, np.float32),
        "empty.wav": np.empty(0, np.float32),
        "ten-milliseconds.wav": np.ones(160, np.float32),
        "eleven-minutes.wav": np.zeros(4_000 * 661, np.float32),
    }
    for name, samples in bad.items():
        rate = 4_000 if len(samples) > 1e6 else 16_000
        soundfile.write(folder / name, samples, rate, subtype="FLOAT")
        rows.append([name, "sad", "bad"])
    (folder / "no-audio.wav").write_bytes(b"nothing of the kind")
    rows.append(["no-audio.wav", "sad", "bad"])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return folder / "clips.csv"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep features here, so that they are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Let commands keep features in ``cache``, and know no settings of their caller."""
    assert request
    monkeypatch.setenv("CHORUS_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def edge_client(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], environment: None
) -> Command:
    """Run ``edge-client`` in this process, with a tiny model in the place of ``conv``."""
    assert environment is None
    replace_model(monkeypatch, TINY)

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["edge-client", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pretend to draw the pictures of each run, where they do not matter."""
    for name in ("confusion", "history", "partition", "reliability"):
        target = f"edge_client.simulation.run.draw_{name}"
        monkeypatch.setattr(target, lambda _, path, *__: path.touch())


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Clips:
    """Write few clips for a federation of two devices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHORUS_CACHE", str(cache))
        return Clips.write(tmp_path_factory.mktemp("clips"))
