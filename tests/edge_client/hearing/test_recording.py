"""A recording is heard the same in real time and at once."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_client.hearing.recording import Recording
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.source import BLOCK, SourceEvent
from shared.audio import RATE, read_clip
from shared.errors import AudioError, SettingsError
from tests.edge_client.hearing.sounds import scene


class Time:
    """Time that passes only when somebody sleeps, or works."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def write(path: Path, rate: int = 44_100, channels: int = 2) -> Path:
    import soxr

    sound = soxr.resample(scene(1, 1, 2, 1.5, 1), RATE, rate)
    soundfile.write(path, np.stack([sound, np.zeros_like(sound)][:channels], axis=1), rate)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (16_000, 1), (8_000, 2)])
def test_real_time_and_at_once_give_the_same_blocks(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = write(tmp_path / "a.wav", rate, channels)
    time = Time()
    slow = list(Recording(path, clock=time.clock, sleep=time.sleep).blocks())
    assert time.slept == pytest.approx(6.5, abs=0.01)
    time.slept = 0
    fast = list(Recording(path, fast=True, clock=time.clock, sleep=time.sleep).blocks())
    assert time.slept == 0
    np.testing.assert_array_equal(np.concatenate(slow), np.concatenate(fast))
    assert [len(block) for block in slow] == [len(block) for block in fast]
    assert {len(block) for block in fast[:-1]} == {BLOCK}
    np.testing.assert_allclose(np.concatenate(fast), read_clip(path), atol=1e-6)


def test_a_slow_listener_is_not_made_slower(tmp_path: Path) -> None:
    time = Time()
    for _ in Recording(write(tmp_path / "a.wav"), clock=time.clock, sleep=time.sleep).blocks():
        time.now += 0.03
    assert time.slept < 0.1


def test_utterances_are_found_in_it(tmp_path: Path) -> None:
    segmenter = Segmenter()
    blocks = Recording(write(tmp_path / "a.flac"), fast=True).blocks()
    found = [utterance for block in blocks for utterance in segmenter.feed(block)]
    assert [round(utterance.start, 1) for utterance in found] == pytest.approx([0.7, 3.7], abs=0.15)


def test_one_channel_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    first, second, mean = (
        np.concatenate(list(Recording(path, fast=True, channel=channel).blocks()))
        for channel in (1, 2, None)
    )
    assert not second.any()
    np.testing.assert_allclose(mean, first / 2, atol=1e-6)
    with pytest.raises(SettingsError, match="no channel 3"):
        Recording(path, channel=3)


def test_close_ends_it_and_events_tell_of_it(tmp_path: Path) -> None:
    events: list[SourceEvent] = []
    recording = Recording(write(tmp_path / "a.wav"), fast=True, on_event=events.append)
    blocks = recording.blocks()
    next(blocks)
    recording.close()
    recording.close()
    assert list(blocks) == []
    assert [event.kind for event in events] == ["connected"]


def test_values_that_are_not_finite_are_silence(tmp_path: Path) -> None:
    sound = scene(1, 1, 1)
    sound[100:200] = np.nan
    sound[300] = np.inf
    soundfile.write(tmp_path / "a.wav", sound, 22_050, subtype="FLOAT")
    blocks = list(Recording(tmp_path / "a.wav", fast=True).blocks())
    assert np.isfinite(np.concatenate(blocks)).all()


def test_what_cannot_be_played_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="There is no recording"):
        Recording(tmp_path / "none.wav")
    for name in ("text.wav", "a.raw"):
        (tmp_path / name).write_text("not sound")
        with pytest.raises(AudioError, match="cannot be read"):
            Recording(tmp_path / name)


def test_an_empty_recording_has_no_blocks(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.empty(0, np.float32), RATE)
    assert list(Recording(tmp_path / "a.wav").blocks()) == []


def test_a_recording_longer_than_a_clip_may_be_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    samples = bytes(4_000 * 660)
    header = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, 4000, 4000, 1, 8
    )
    path.write_bytes(header + b"data" + struct.pack("<I", len(samples)) + samples)
    assert sum(map(len, Recording(path, fast=True).blocks())) == 660 * RATE
