"""Features are computed by several processes, of which any may die, and in this one."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import types
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from shared.audio import RATE, Samples
from shared.corpora import Clip, load_corpus
from shared.errors import AudioError, SettingsError
from shared.features import cache
from shared.features.cache import extract_features
from shared.features.store import FeatureStore
from shared.frames import Frames
from shared.front_ends import FrontEnd
from shared.front_ends.paper34 import frame_features
from shared.task import PAPER34
from tests.shared.corpora.trees import write_clip
from tests.shared.features.clips import CACHED, PAPER, clip, synthetic


@dataclass(frozen=True)
class Witness:
    """A sound that tells, as the reason why it cannot be used, where it was read."""

    number: int

    def read(self) -> Samples:
        raise AudioError(f"{os.getpid()} {'tensorflow' in sys.modules}")

    def content_key(self) -> str:
        return str(self.number)


@dataclass(frozen=True)
class Killer:
    """A sound whose reading ends a worker, as a crash in a decoder does."""

    number: int

    def read(self) -> Samples:
        if multiprocessing.parent_process():
            os._exit(1)
        tone: Samples = np.sin(np.arange(RATE, dtype=np.float32) * (self.number + 1) / 10)
        return tone

    def content_key(self) -> str:
        return f"killer {self.number}"


def test_workers_are_other_processes_without_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    clips = [Clip(str(i), Witness(i), "sad", "sad", "anna") for i in range(40)]
    good = clip(write_clip(tmp_path / "good.wav"))
    found = extract_features([good, *clips], PAPER, tmp_path, workers=2)
    pids, tensorflow = zip(*(skipped.reason.split() for skipped in found.skipped), strict=True)
    assert str(os.getpid()) not in pids
    assert set(tensorflow) == {"False"}


def test_a_few_clips_are_computed_without_other_processes(tmp_path: Path) -> None:
    good = clip(write_clip(tmp_path / "good.wav"))
    found = extract_features(
        [good, Clip("w", Witness(0), "sad", "sad", "a")], PAPER, tmp_path, workers=2
    )
    assert found.skipped[0].reason.startswith(f"{os.getpid()} ")


def test_a_front_end_that_cannot_travel_is_computed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    own = FrontEnd(replace(PAPER34, name="own"), 0.1, lambda samples: frame_features(samples))  # noqa: PLW0108  # a lambda, on purpose
    found = extract_features(synthetic(), own, tmp_path, workers=2)
    expected = extract_features(synthetic(), PAPER, tmp_path)
    assert np.array_equal(found.features, expected.features)


class Guarded:
    """Something of one's own that computes under a lock, or reads under one: it cannot travel."""

    def __init__(self, own: Clip | None = None) -> None:
        self.lock, self.own = threading.Lock(), own

    def __call__(self, samples: Samples) -> Frames:
        with self.lock:
            return frame_features(samples)

    def read(self) -> Samples:
        assert self.own
        with self.lock:
            return self.own.read()

    def content_key(self) -> str:
        assert self.own
        return self.own.content_key()


def test_a_front_end_or_a_sound_that_has_a_lock_is_used_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    expected = extract_features(synthetic(), PAPER, tmp_path / "plain")
    own = FrontEnd(PAPER34, 0.1, Guarded())
    found = extract_features(synthetic(), own, tmp_path / "front end", workers=2)
    assert np.array_equal(found.features, expected.features)
    sounds = [replace(clip, source=Guarded(clip)) for clip in synthetic()]
    found = extract_features(sounds, PAPER, tmp_path / "sounds", workers=2)
    assert np.array_equal(found.features, expected.features)


def test_a_front_end_of_a_wrong_shape_ends_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    wrong = FrontEnd(replace(PAPER34, features=33), 0.1, frame_features)
    for workers in (1, 2):
        with pytest.raises(SettingsError, match=r"gives features of shape \(\d+, 34\)") as caught:
            extract_features(synthetic(), wrong, tmp_path, workers=workers)
        assert caught.value.remedy


def test_a_worker_that_dies_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    clips = [Clip(str(i), Killer(i), "sad", "sad", "anna") for i in range(20)]
    found = extract_features(clips, PAPER, tmp_path, workers=2)
    assert found.clips == tuple(clips)
    assert "going on alone" in capsys.readouterr().err


def test_workers_and_this_process_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    alone = extract_features(synthetic(), PAPER, tmp_path / "alone", workers=1)
    together = extract_features(synthetic(), PAPER, tmp_path / "together", workers=2)
    assert np.array_equal(alone.features, together.features)


EXTRACT = """
import hashlib, multiprocessing, sys
from pathlib import Path
from shared.features import cache
from shared.corpora import load_corpus
from shared.features.store import FeatureStore
from shared.front_ends import FRONT_ENDS

def main():
    cache.POOL_FROM = 2
    add = FeatureStore.add
    def tell(store, features):
        add(store, features)
        print("kept", *(child.pid for child in multiprocessing.active_children()), flush=True)
    FeatureStore.add = tell
    clips = load_corpus("synthetic", speakers=6, clips_per_speaker=28).clips
    front_end, folder, workers = FRONT_ENDS.get("paper34"), Path(sys.argv[1]), int(sys.argv[2])
    found = cache.extract_features(clips, front_end, folder, workers)
    print(hashlib.sha256(found.features.tobytes()).hexdigest())

if __name__ == "__main__":
    main()
"""


def start(folder: Path, workers: int) -> subprocess.Popen[str]:
    script = folder / "extract.py"
    if not script.exists():  # another process may be reading it
        script.write_text(EXTRACT)
    return subprocess.Popen(
        [sys.executable, script, folder, str(workers)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_share_the_cache(tmp_path: Path) -> None:
    both = [start(tmp_path, 1), start(tmp_path, 1)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0][0].splitlines()[-1] == answers[1][0].splitlines()[-1]
    assert [errors for _, errors in answers] == ["", ""]
    clips = load_corpus("synthetic", speakers=6, clips_per_speaker=28).clips
    assert len(extract_features(clips, CACHED, tmp_path).clips) == 168


@pytest.mark.parametrize("batches", [1, 3])
def test_a_killed_process_leaves_what_it_kept_and_no_workers(
    tmp_path: Path, batches: int, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(tmp_path, 2)
    assert process.stdout
    for _ in range(batches):
        line = process.stdout.readline()
    watched = [os.pidfd_open(int(pid)) for pid in line.split()[1:]]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for worker in watched:
        assert select.select([worker], [], [], 60)[0], "a worker outlived its parent"
        os.close(worker)

    clips = load_corpus("synthetic", speakers=6, clips_per_speaker=28).clips
    keys = [key for one in clips if isinstance(key := cache._key(one, PAPER), bytes)]
    with FeatureStore(tmp_path) as store:
        kept = store.find(keys, 34)
    assert len(kept) >= 32 * batches
    for one, key in zip(clips, keys, strict=True):
        if key in kept:
            assert np.array_equal(kept[key], frame_features(one.read()))
    assert len(extract_features(clips, PAPER, tmp_path).clips) == 168
    assert capsys.readouterr().err == ""
