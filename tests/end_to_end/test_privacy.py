"""What a process that listens leaves behind: no sound, and features in the store only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_client.device.store import ExampleStore
from edge_client.hearing.recording import Recording
from edge_client.hearing.segmentation import Segmenter
from shared.audio import RATE
from tests.end_to_end.conftest import EDGE_CLIENT
from tests.end_to_end.listening import BOUND, model, recording

__all__ = ["model", "recording"]

PIECE = 64
"""Samples in a row that betray a sound: 4 ms, and 64 bytes of features."""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Make a home, a state and a temporary folder that only this process uses."""
    for name in ("home", "state", "tmp", "work"):
        (tmp_path / name).mkdir()
    return tmp_path


def listen(house: Path, recording: Path, model: Path, *more: str) -> list[str]:
    """Let a process hear the recording; give the files it had opened for writing."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(house / "home"),
        "TMPDIR": str(house / "tmp"),
        "XDG_STATE_HOME": str(house / "state"),
    }
    line = [str(EDGE_CLIENT), "run", "--wav", str(recording), "--fast", "--offline", "--headless"]
    trace = house.parent / f"{house.name}.trace"
    strace = shutil.which("strace")
    watched = ["strace", "-f", "-qq", "-e", "trace=openat,socket", "-o", str(trace)]
    done = subprocess.run(
        [*(watched if strace else []), *line, "--weights", str(model), *more],
        cwd=house / "work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 4
    return trace.read_text().splitlines() if strace else []


def heard(recording: Path) -> list[NDArray[np.float32]]:
    """Find the utterances of the recording, as the process does."""
    segmenter, found = Segmenter(), []
    for block in Recording(recording, fast=True).blocks():
        found += segmenter.feed(block)
    return [utterance.samples for utterance in [*found, *segmenter.flush()]]


def betraying(sounds: list[NDArray[np.float32]]) -> Iterator[bytes]:
    """Give a piece of each second of sound, in each form it might be written in.

    A file that holds any whole second holds one of these: they are 1/4 s apart.
    """
    for sound in sounds:
        loud = np.abs(sliding_window_view(sound, PIECE)).max(axis=1)
        for start in range(0, len(sound) - PIECE, RATE // 4):
            if loud[start] > 1e-3:
                piece = sound[start : start + PIECE]
                for scale in (32767, 32768):
                    yield np.round(piece * scale).astype("<i2").tobytes()
                yield piece.astype("<f4").tobytes()
                yield piece.astype("<f8").tobytes()


def files(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def features(house: Path) -> list[bytes]:
    """Give pieces of the features that were kept, raw and as the store has them."""
    with ExampleStore(house / "state" / "chorus" / "examples.sqlite", limit_mb=10) as store:
        stored = store.everything()
    rows = [one[frame] for one in stored.features for frame in (0, 5, 10)]
    return [row.astype(kind).tobytes()[:PIECE] for row in rows for kind in ("<f4", "<f8")]


def test_no_sound_and_features_only_in_the_store(house: Path, recording: Path, model: Path) -> None:
    trace = listen(house, recording, model)
    found = files(house)
    names = {str(path) for path in found}
    state = "state/chorus/"
    assert names == {f"{state}{name}" for name in ("examples.sqlite", "lock", "model.safetensors")}
    pieces = list(betraying(heard(recording)))
    assert len(pieces) > 80
    for path, content in found.items():
        assert not any(piece in content for piece in pieces), f"sound in {path}"
    kept = features(house)
    store = found[Path(f"{state}examples.sqlite")]
    assert sum(piece in store for piece in kept) == len(kept) // 2, "float32, where they belong"
    for path, content in found.items():
        if path.name != "examples.sqlite":
            assert not any(piece in content for piece in kept), f"features in {path}"
    written = {line.split('"')[1] for line in trace if "O_WRONLY" in line or "O_RDWR" in line}
    outside = {path for path in written if not path.startswith((str(house), "/dev/", "/proc/"))}
    assert not {path for path in outside if not path.endswith((".pyc", "__pycache__"))}
    assert not [line for line in trace if "AF_INET" in line], "no network"


def test_the_test_would_find_sound(house: Path, recording: Path, model: Path) -> None:
    listen(house, recording, model, "--keep-audio")
    import soundfile

    kept = sorted((house / "state" / "chorus" / "personal" / "sounds").iterdir())
    assert [path.name for path in kept] == [f"{number}.flac" for number in range(1, 5)]
    decoded = b"".join(soundfile.read(path, dtype="int16")[0].tobytes() for path in kept)
    assert sum(piece in decoded for piece in betraying(heard(recording))) > 20


def test_deleting_leaves_nothing_of_the_person(house: Path, recording: Path, model: Path) -> None:
    listen(house, recording, model, "--keep-audio")
    kept = features(house)
    done = subprocess.run(
        [str(EDGE_CLIENT), "examples", "delete", "--yes", "--state", house / "state" / "chorus"],
        check=False,
    )
    assert done.returncode == 0
    found = files(house)
    assert {path.name for path in found} == {"lock", "model.safetensors"}
    for content in found.values():
        assert not any(piece in content for piece in kept)
