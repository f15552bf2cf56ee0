"""What libsndfile cannot read is decoded by ffmpeg, where that is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared import audio
from shared.audio import RATE, ffmpeg, read_clip
from shared.audio.clip_search import clips_below
from shared.errors import AudioError

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="no ffmpeg: apt install ffmpeg"
)


def tone(folder: Path, seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> Path:
    times = np.arange(round(seconds * rate)) / rate
    sound = np.sin(2 * np.pi * 440 * times) / 2
    path = folder / "tone.wav"
    soundfile.write(path, np.repeat(sound[:, None], channels, axis=1), rate)
    return path


def encoded(wav: Path, name: str, *options: str) -> Path:
    out = wav.with_name(name)
    command = ["ffmpeg", "-loglevel", "error", "-y", "-i", str(wav), *options, str(out)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return out


@needs_ffmpeg
@pytest.mark.parametrize("name", ["clip.m4a", "clip.aac", "clip.wma", "clip.MP4", "[a] clip.webm"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_a_clip_sounds_as_it_did_before(
    tmp_path: Path, name: str, rate: int, channels: int
) -> None:
    wav = tone(tmp_path, rate=rate, channels=channels)
    samples = read_clip(encoded(wav, name, "-vn"))
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * RATE, abs=RATE // 5)
    middle = samples[RATE // 2 : RATE // 2 + RATE]
    assert np.abs(np.fft.rfft(middle)).argmax() == 440
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


@needs_ffmpeg
def test_six_channels_are_averaged(tmp_path: Path) -> None:
    samples = read_clip(encoded(tone(tmp_path, rate=48_000, channels=6), "clip.m4a"))
    assert np.abs(samples[RATE // 2 : RATE]).max() > 0.2


@needs_ffmpeg
def test_unusable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(tone(tmp_path), "whole.m4a").read_bytes()
    clip = tmp_path / "clip.m4a"
    for content in (b"", os.urandom(1_000), whole[: len(whole) // 2], b"#EXTM3U\n/etc/passwd\n"):
        clip.write_bytes(content)
        with pytest.raises(AudioError, match=r"clip\.m4a cannot be read: ffmpeg finds no sound"):
            read_clip(clip)
    clip.write_bytes(whole)
    monkeypatch.setattr(audio, "LONGEST", 1)
    with pytest.raises(AudioError, match=r"clip\.m4a lasts 2 s, more than 1 s"):
        read_clip(clip)


@needs_ffmpeg
def test_what_it_lasts_is_counted_where_the_file_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = encoded(tone(tmp_path, seconds=20), "clip.webm", "-live", "1")
    with ffmpeg.decoding(clip) as decoded:
        assert decoded.seconds == 0
    monkeypatch.setattr(audio, "LONGEST", 1)
    with pytest.raises(AudioError, match="more than 1 s"):
        read_clip(clip)


def test_without_ffmpeg_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.m4a"
    clip.write_bytes(os.urandom(1_000))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError) as caught:
        read_clip(clip)
    assert caught.value.problem == (
        f"The clip {clip} cannot be read: its format needs ffmpeg, which is not installed."
    )
    assert "apt install ffmpeg" in caught.value.remedy


def test_on_a_device_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.wma"
    clip.write_bytes(os.urandom(1_000))
    monkeypatch.setitem(sys.modules, "audioread", None)
    with pytest.raises(AudioError, match="its format needs ffmpeg and audioread") as caught:
        read_clip(clip)
    assert "Convert it to WAV or FLAC" in caught.value.remedy


def test_such_files_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("a.m4a", "b.WMA", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in clips_below(tmp_path)] == ["a.m4a", "b.WMA"]
