"""Features of many clips: what is skipped, and what is kept."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.audio import RATE, Samples
from shared.corpora import Clip, load_corpus
from shared.corpora.corpus import AudioFile
from shared.errors import CorpusError
from shared.features import cache
from shared.features.cache import extract_features
from shared.features.store import FeatureStore
from shared.frames import Frames, pad
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.front_ends.paper34 import frame_features
from shared.task import DEFAULT_TASK, PAPER34, FrontEndShape
from tests.shared.corpora.trees import write_clip
from tests.shared.features.clips import CACHED, PAPER, clip, fail, synthetic


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
