import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from shared.audio import LONGEST, RATE, _read, read_clip, to_utterance
from shared.audio.clip_search import clips_below
from shared.corpora import load_corpus
from shared.errors import AudioError
from shared.features.cache import extract_features
from shared.front_ends import FRONT_ENDS

Array = NDArray[Any]


def noise(*shape: int, level: float = 0.1) -> Array:
    return (np.random.default_rng(0).standard_normal(shape) * level).astype(np.float32)


def test_sixteen_bit_clip_at_16_khz_is_read_to_the_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, 5_000, dtype=np.int16)
    soundfile.write(tmp_path / "clip.wav", samples, RATE)
    read = read_clip(tmp_path / "clip.wav")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read * 32768, samples)
    np.testing.assert_array_equal(to_utterance(samples, RATE), read)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64"])
def test_every_format_is_read(tmp_path: Path, extension: str) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / f"clip.{extension}", tone, 48_000)
    read = read_clip(tmp_path / f"clip.{extension}")
    assert len(read) == RATE
    spectrum = np.abs(np.fft.rfft(read))
    assert spectrum.argmax() == 440
    assert read.max() == pytest.approx(0.5, rel=0.05)
    assert clips_below(tmp_path) == [tmp_path / f"clip.{extension}"]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_keeps_the_tone_and_the_length(rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(2 * rate) / rate)
    read = to_utterance(tone, rate)
    assert len(read) == 2 * RATE
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(2 * RATE) / RATE)
    np.testing.assert_allclose(read[RATE // 4 : -RATE // 4], expected[4_000:-4_000], atol=2e-4)


def test_channels_are_averaged() -> None:
    stereo = noise(4_000, 2)
    np.testing.assert_array_equal(to_utterance(stereo, RATE), stereo.mean(axis=1))
    opposite = np.stack([stereo[:, 0], -stereo[:, 0]], axis=1)
    assert not to_utterance(opposite, RATE).any()


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 6), (16_000, 1), (8_000, 1)])
def test_clip_decoded_in_blocks_is_the_same_as_in_memory(
    tmp_path: Path, rate: int, channels: int
) -> None:
    samples = noise(7 * rate, channels)
    soundfile.write(tmp_path / "clip.wav", samples, rate, subtype="FLOAT")
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.wav"), to_utterance(samples, rate))


def test_clip_beyond_full_scale_is_scaled_not_clipped(tmp_path: Path) -> None:
    samples = noise(8_000, level=3)
    soundfile.write(tmp_path / "loud.wav", samples, RATE, subtype="FLOAT")
    read = read_clip(tmp_path / "loud.wav")
    assert np.abs(read).max() == 1
    np.testing.assert_allclose(read, samples / np.abs(samples).max(), rtol=1e-6)


@given(
    arrays.arrays(
        st.sampled_from([np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32]),
        st.integers(1, 50),
    )
)
def test_integers_are_scaled_by_their_range(samples: Array) -> None:
    info = np.iinfo(samples.dtype)
    read = to_utterance(samples, RATE)
    assert np.abs(read).max() <= 1
    half = (int(info.max) - int(info.min) + 1) // 2
    middle = half if info.min == 0 else 0
    expected = [(int(value) - middle) / half for value in samples]
    np.testing.assert_allclose(read, expected, atol=1e-7)


@given(
    arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(width=32)),
    st.sampled_from([8_000, 16_000, 44_100]),
)
def test_result_is_finite_and_bounded_or_an_error(samples: Array, rate: int) -> None:
    try:
        read = to_utterance(samples, rate)
    except AudioError:
        return
    assert read.dtype == np.float32
    assert np.isfinite(read).all()
    assert np.abs(read).max() <= 1


def test_what_is_given_is_left_as_it_is() -> None:
    samples = noise(4_000, level=5)
    before = samples.copy()
    to_utterance(samples, RATE)[:] = 0
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("samples", "rate", "problem"),
    [
        (np.empty(0), RATE, "is empty"),
        (np.empty((0, 2)), RATE, "is empty"),
        (np.empty((5, 0)), RATE, "is empty"),
        (np.array([0.1, np.nan]), RATE, "not finite"),
        (np.array([0.1, -np.inf]), RATE, "not finite"),
        (np.array([0.1, 1e300]), RATE, "not finite"),
        (np.full(48_000, np.nan), 48_000, "not finite"),
        (np.zeros((2, 2, 2)), RATE, "3 axes"),
        (np.zeros(5, np.int64), RATE, "type int64"),
        (np.zeros(5, complex), RATE, "type complex128"),
        (np.zeros(5), 0, "samples per second"),
        (np.zeros(5), float("nan"), "samples per second"),
        (np.zeros(5), 10**9, "samples per second"),
        (np.broadcast_to(np.float32(0), LONGEST * RATE + 1), RATE, "lasts 600 s, more than"),
    ],
)
def test_unusable_sound_is_named(samples: Array, rate: float, problem: str) -> None:
    with pytest.raises(AudioError, match=problem):
        to_utterance(samples, rate)


def write_flac(path: Path, samples: Array) -> bytes:
    soundfile.write(path, samples, RATE)
    return path.read_bytes()


def test_unusable_files_are_named(tmp_path: Path) -> None:
    clip = tmp_path / "[a] clip.flac"
    whole = write_flac(clip, noise(RATE))
    for content, problem in [
        (b"", "cannot be read"),
        (os.urandom(1_000), "cannot be read"),
        (whole[: len(whole) // 2], "cannot be read|end is missing"),
        (whole[:-200], "cannot be read|end is missing"),
        (whole[:5_000] + bytes(2_000) + whole[7_000:], "cannot be read|end is missing"),
    ]:
        clip.write_bytes(content)
        with pytest.raises(AudioError, match=problem) as caught:
            read_clip(clip)
        assert str(clip) in caught.value.problem
        assert caught.value.remedy
    clip.rename(tmp_path / "clip.raw")
    with pytest.raises(AudioError, match="cannot be read"):
        read_clip(tmp_path / "clip.raw")
    for missing in (clip, tmp_path):
        with pytest.raises(AudioError, match="There is no clip"):
            read_clip(missing)


def not_files(folder: Path, suffix: str) -> list[Path]:
    """Make a pipe, a socket and a link to a device; nobody writes to them."""
    pipe, place, device = (folder / f"{name}{suffix}" for name in ("pipe", "socket", "device"))
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
    device.symlink_to("/dev/zero")
    return [pipe, place, device]


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_a_pipe_a_socket_and_a_device_are_not_waited_for(suffix: str, tmp_path: Path) -> None:
    for path in not_files(tmp_path, suffix):
        with pytest.raises(AudioError, match=f"{path.name} cannot be read: it is not a file"):
            read_clip(path)
    assert clips_below(tmp_path) == []


def test_in_a_manifest_and_in_a_corpus_they_are_skipped_with_the_reason(tmp_path: Path) -> None:
    paths = not_files(tmp_path, ".wav")
    rows = "".join(f"{path.name},sad,anna\n" for path in paths)
    (tmp_path / "clips.csv").write_text(f"path,label,speaker\n{rows}clip.wav,sad,anna\n")
    soundfile.write(tmp_path / "clip.wav", noise(RATE), RATE)
    clips = load_corpus("manifest", tmp_path / "clips.csv").clips
    found = extract_features(clips, FRONT_ENDS.get("paper34"), tmp_path / "cache", progress=False)
    assert [clip.identifier for clip in found.clips] == ["clip.wav"]
    assert [skipped.reason for skipped in found.skipped] == [
        f"{path.name} cannot be read: it is not a file." for path in sorted(paths)
    ]


def test_empty_and_not_finite_files_are_named(tmp_path: Path) -> None:
    samples = noise(RATE)
    soundfile.write(tmp_path / "empty.wav", samples[:0], RATE)
    with pytest.raises(AudioError, match=r"empty\.wav is empty"):
        read_clip(tmp_path / "empty.wav")
    samples[500] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 48_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav holds values that are not finite"):
        read_clip(tmp_path / "nan.wav")


def test_a_disk_that_fails_at_the_first_byte_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.symlink_to("/proc/self/mem")  # a file like any other, of which nothing can be read
    with pytest.raises(AudioError, match=r"The clip .* cannot be read: Input/output error"):
        read_clip(path)


def test_a_disk_that_fails_on_the_way_is_one_sentence(tmp_path: Path) -> None:
    def blocks() -> Iterator[NDArray[np.float32]]:
        yield np.zeros((100, 1), np.float32)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    found = _read(blocks(), tmp_path / "clip.wav", "recording")
    assert len(next(found)) == 100
    with pytest.raises(AudioError, match=r"The recording .* cannot be read: Input/output error"):
        next(found)


def test_header_that_claims_hours_is_refused_before_decoding(tmp_path: Path) -> None:
    silence = np.zeros((LONGEST + 1) * 4_000, np.int8)
    soundfile.write(tmp_path / "long.flac", silence.astype(np.int16), 4_000)
    with pytest.raises(AudioError, match="lasts 601 s, more than 600 s"):
        read_clip(tmp_path / "long.flac")


def test_clips_are_found_by_their_ending_in_order(tmp_path: Path) -> None:
    for name in ("b/2.WAV", "b/1.flac", "a.mp3", "notes.txt", ".hidden.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert clips_below(tmp_path) == [tmp_path / name for name in ("a.mp3", "b/1.flac", "b/2.WAV")]


def test_real_speech_is_read(speech: Path) -> None:
    for path in clips_below(speech)[::300]:
        read = read_clip(path)
        assert len(read) > RATE
        assert 0 < np.abs(read).max() <= 1
