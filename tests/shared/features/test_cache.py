"""Features of many clips: what is skipped, what is kept, and by how many processes."""

import hashlib
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
import soundfile

from shared.audio import RATE, Samples
from shared.corpora import Clip, load_corpus
from shared.corpora.corpus import AudioFile
from shared.errors import AudioError, CorpusError, SettingsError
from shared.features import cache
from shared.features.cache import extract_features
from shared.features.store import FeatureStore
from shared.frames import Frames, pad
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.front_ends.paper34 import frame_features
from shared.task import DEFAULT_TASK, PAPER34, FrontEndShape
from tests.shared.corpora.trees import write_clip

PAPER = FRONT_ENDS.get("paper34")


def fail(_: Samples) -> Frames:
    pytest.fail("features were computed, not taken from the cache")


CACHED = FrontEnd(PAPER34, 0.1, fail)
"""The paper's features, which may not be computed."""


def clip(path: Path) -> Clip:
    return Clip(path.name, AudioFile(path), "sad", "sad", "anna")


def synthetic(seed: int = 0, each: int = 8) -> tuple[Clip, ...]:
    return load_corpus("synthetic", seed=seed, speakers=4, clips_per_speaker=each).clips


def test_features_are_those_of_each_clip_in_the_given_order(tmp_path: Path) -> None:
    clips = synthetic()[::-1]
    found = extract_features(clips, PAPER, tmp_path)
    assert found.clips == clips
    assert found.features.shape == (32, 100, 34)
    assert found.features.dtype == np.float32
    assert found.frames.dtype == np.int32
    for number, one in enumerate(clips):
        frames = frame_features(one.read())
        assert found.frames[number] == len(frames)
        assert np.array_equal(found.features[number], pad(frames, PAPER34))
        assert DEFAULT_TASK.names[found.labels(DEFAULT_TASK)[number]] == one.label
    assert found.skipped == ()


def test_a_clip_of_another_emotion_has_no_label(tmp_path: Path) -> None:
    other = Clip("a", AudioFile(write_clip(tmp_path / "a.wav")), None, "fear", "anna")
    assert extract_features([other], PAPER, tmp_path).labels(DEFAULT_TASK).tolist() == [-1]


def test_the_second_time_nothing_is_computed(tmp_path: Path) -> None:
    first = extract_features(synthetic(), PAPER, tmp_path)
    second = extract_features(synthetic(), CACHED, tmp_path)
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(first.frames, second.frames)


def test_a_moved_clip_is_not_computed_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav")
    first = extract_features([clip(path)], PAPER, tmp_path)
    moved = path.rename(tmp_path / "b.wav")
    assert np.array_equal(
        first.features, extract_features([clip(moved)], CACHED, tmp_path).features
    )


def test_a_changed_clip_is_computed_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav")
    first = extract_features([clip(path)], PAPER, tmp_path)
    write_clip(path, seconds=0.6)
    assert first.frames != extract_features([clip(path)], PAPER, tmp_path).frames


@pytest.mark.parametrize(
    "other",
    [
        replace(PAPER34, version=2),
        replace(PAPER34, name="other"),
        replace(PAPER34, frames=99),
        replace(PAPER34, variable=True),
    ],
)
def test_another_front_end_or_version_is_computed_again(
    tmp_path: Path, other: FrontEndShape
) -> None:
    path = write_clip(tmp_path / "a.wav")
    extract_features([clip(path)], PAPER, tmp_path)
    extract_features([clip(path)], CACHED, tmp_path)
    with pytest.raises(pytest.fail.Exception):
        extract_features([clip(path)], FrontEnd(other, 0.1, fail), tmp_path)


def test_front_ends_share_a_cache_and_never_mix(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / "a.wav"), write_clip(tmp_path / "b.wav", seconds=2.5)]
    clips = [clip(path) for path in paths]
    for _ in range(2):
        for front_end in (PAPER, FRONT_ENDS.get("mfcc40")):
            found = extract_features(clips, front_end, tmp_path)
            for one, padded, count in zip(clips, found.features, found.frames, strict=True):
                assert np.array_equal(padded[:count], front_end.compute(one.read()))
                assert not padded[count:].any()
    assert found.features.shape == (2, 300, 40)


def test_a_cache_of_before_front_ends_is_left_aside(tmp_path: Path) -> None:
    one = clip(write_clip(tmp_path / "a.wav"))
    old = hashlib.sha256(f"1 {one.content_key()}".encode()).digest()
    with FeatureStore(tmp_path) as store:
        store.add({old: np.zeros((9, 34), np.float32)})
    expected = frame_features(one.read())
    found = extract_features([one], PAPER, tmp_path)
    assert np.array_equal(found.features[0], pad(expected, PAPER34))


def test_the_same_sound_twice_is_computed_once_and_there_twice(tmp_path: Path) -> None:
    computed: list[Samples] = []

    def counted(samples: Samples) -> Frames:
        computed.append(samples)
        return frame_features(samples)

    clips = [clip(write_clip(tmp_path / name)) for name in ("a.wav", "b.wav")]
    found = extract_features(clips, FrontEnd(PAPER34, 0.1, counted), tmp_path)
    assert found.clips == tuple(clips)
    assert len(computed) == 1


def bad_clips(folder: Path) -> dict[str, Clip]:
    """Write one clip of each kind that cannot be used; the value is found in the reason."""
    (folder / "empty.wav").touch()
    (folder / "noise.wav").write_bytes(bytes(range(256)) * 20)
    soundfile.write(folder / "none.wav", np.zeros(0), RATE)
    soundfile.write(folder / "nan.wav", np.full(RATE, np.nan), RATE, "FLOAT")
    write_clip(folder / "10ms.wav", 0.01)
    write_clip(folder / "601s.wav", 601, 4000)
    whole = write_clip(folder / "cut.flac", 3).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "folder.wav").mkdir()
    return {
        "empty.wav": clip(folder / "empty.wav"),
        "noise.wav": clip(folder / "noise.wav"),
        "none.wav is empty": clip(folder / "none.wav"),
        "not finite": clip(folder / "nan.wav"),
        "0.01 s": clip(folder / "10ms.wav"),
        "601 s": clip(folder / "601s.wav"),
        "cut.flac": clip(folder / "cut.flac"),
        "Is a directory": clip(folder / "folder.wav"),
        "No such file": clip(folder / "missing.wav"),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_clips_are_named_with_the_reason_and_end_nothing(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "POOL_FROM", 2)
    good, bad = clip(write_clip(tmp_path / "good.wav")), bad_clips(tmp_path)
    found = extract_features([*bad.values(), good], PAPER, tmp_path, workers)
    assert found.clips == (good,)
    assert [skipped.clip for skipped in found.skipped] == list(bad.values())
    for reason, skipped in zip(bad, found.skipped, strict=True):
        assert reason in skipped.reason


def test_a_clip_of_ten_minutes_gives_its_first_100_frames(tmp_path: Path) -> None:
    found = extract_features([clip(write_clip(tmp_path / "long.wav", 600, 4000))], PAPER, tmp_path)
    assert found.frames.tolist() == [100]


def test_no_usable_clip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"None of 9 clips can be used\. The first: .*empty\.wav"):
        extract_features(bad_clips(tmp_path).values(), PAPER, tmp_path)
    with pytest.raises(CorpusError, match="None of 0 clips"):
        extract_features([], PAPER, tmp_path)


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


def test_all_of_real_ravdess(speech: Path, tmp_path: Path) -> None:
    corpus = load_corpus("ravdess", speech / "ravdess")
    found = extract_features(corpus.labelled, PAPER, tmp_path)
    assert found.features.shape == (672, 100, 34)
    assert found.skipped == ()
    assert np.bincount(found.labels(DEFAULT_TASK)).tolist() == [192, 192, 96, 192]
    assert np.isfinite(found.features).all()
    assert 20 < found.frames.min() < found.frames.max() < 60
    assert (tmp_path / "features.sqlite").stat().st_size < 672 * 13_600
    assert np.array_equal(
        extract_features(corpus.labelled, CACHED, tmp_path).features, found.features
    )
