"""Utterances are found in noise, whole, and the same however the stream is divided."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.hearing.segmentation import LONGEST, SILENCE, Segmenter
from edge_client.hearing.settings import HearingSettings
from edge_client.hearing.utterance import Utterance
from shared.audio import RATE, Samples, read_clip
from tests.edge_client.hearing.sounds import noise, scene


def segmented(sound: Samples, own: HearingSettings | None = None) -> list[Utterance]:
    segmenter = Segmenter(own)
    return segmenter.feed(sound) + segmenter.flush()


def same(one: list[Utterance], other: list[Utterance]) -> None:
    assert [utterance.start for utterance in one] == [utterance.start for utterance in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


@settings(max_examples=40)
@given(
    parts=st.lists(st.floats(0.05, 1.5), min_size=1, max_size=6),
    sizes=st.lists(st.integers(0, 5_000), min_size=1, max_size=10),
)
def test_same_utterances_in_blocks_of_any_size(parts: list[float], sizes: list[int]) -> None:
    sound = scene(0.5, *parts)
    segmenter = Segmenter()
    found, at = [], 0
    while at < len(sound):
        for size in (*sizes, 100):
            found += segmenter.feed(sound[at : at + size])
            at += size
    same(segmented(sound), found + segmenter.flush())


@settings(max_examples=25)
@given(st.lists(st.floats(0.05, 4), min_size=2, max_size=8))
def test_utterances_are_pieces_of_the_stream_of_half_to_ten_seconds(parts: list[float]) -> None:
    sound = scene(1, *parts)
    for utterance in segmented(sound):
        start = round(utterance.start * RATE)
        piece = sound[start : start + len(utterance.samples)]
        np.testing.assert_array_equal(utterance.samples, np.clip(piece, -1, 1))
        assert 0.5 <= utterance.seconds <= LONGEST
        assert utterance.samples.dtype == np.float32


def test_pre_roll_and_hang_over_stand_around_the_speech() -> None:
    sound = scene(2, 1, 2, 1.5, 2)
    own = HearingSettings(pre_roll=0.4, hang_over=0.7)
    found = segmented(sound, own)
    assert len(found) == 2
    for utterance, begin, end in zip(found, (2, 5), (3, 6.5), strict=True):
        assert utterance.start + own.pre_roll == pytest.approx(begin, abs=0.15)
        stop = utterance.start + utterance.seconds
        assert stop - own.hang_over == pytest.approx(end, abs=0.2)


@pytest.mark.parametrize("hang_over", [0.2, 0.4, 0.6, 1.0])
def test_the_speech_of_the_utterance_before_is_no_pre_roll(hang_over: float) -> None:
    sound = scene(2, 1, hang_over + 0.3, 1, 2)
    first, second = segmented(sound, HearingSettings(pre_roll=2, hang_over=hang_over))
    spoken_until = first.start + first.seconds - hang_over
    assert spoken_until == pytest.approx(3, abs=0.2)
    assert second.start == pytest.approx(spoken_until, abs=1e-9)


def test_what_was_left_out_as_too_short_is_pre_roll() -> None:
    sound = scene(2, 0.04, 0.7, 1, 2)
    (found,) = segmented(sound, HearingSettings(pre_roll=1.5, hang_over=0.2))
    assert found.start == pytest.approx(2.74 - 1.5, abs=0.15)


@pytest.mark.parametrize("gain", [1 / 8, 1 / 2, 2])
def test_loudness_does_not_matter(gain: float) -> None:
    sound = scene(2, 1, 2, 2, 2, level=-20, floor=-45)
    found = segmented(np.float32(gain) * sound)
    assert [(u.start, u.seconds) for u in found] == [(u.start, u.seconds) for u in segmented(sound)]


def test_a_click_is_no_utterance() -> None:
    assert segmented(scene(2, 0.04, 2)) == []


def test_an_hour_of_noise_and_silence_gives_nothing_and_keeps_nothing() -> None:
    segmenter = Segmenter()
    found = []
    for minute in range(60):
        level = (-60, -200, -30)[minute // 20] + minute % 5
        block = noise(60, level) if minute // 20 != 1 else np.zeros(60 * RATE, np.float32)
        found += segmenter.feed(block)
        held = [segmenter._rest, *segmenter._before, *segmenter._open]
        assert sum(map(len, held)) <= 2 * LONGEST * RATE
        assert all(part.base is None or part.base.size < 60 * RATE for part in held)
    # Each step of 30 dB and more is taken for speech until the noise floor has followed.
    assert len(found) <= 3
    assert sum(utterance.seconds for utterance in found) < 15


def test_noise_that_rises_is_followed_within_seconds() -> None:
    sound = np.concatenate([noise(10, -60), noise(60, -30, 1)])
    found = segmented(sound)
    assert len(found) <= 1
    assert all(utterance.seconds < 5 for utterance in found)
    later = np.concatenate([sound, scene(1, 1, 2, floor=-30)])
    assert len(segmented(later)) == len(found) + 1


@settings(max_examples=25)
@given(st.lists(st.floats(0.02, 0.4), min_size=1, max_size=5), st.integers(0, 99))
def test_noise_that_a_sound_server_interrupts_stays_noise(gaps: list[float], seed: int) -> None:
    # A resampler rings around a silence of zeros, far below the last bit of any converter.
    silent = [noise(gap, -120, seed) for gap in gaps]
    around = [noise(1.5 + number / 7, -60, seed + number) for number in range(len(gaps) + 1)]
    parts = [part for pair in zip(around, silent, strict=False) for part in pair]
    assert segmented(np.concatenate([noise(0.3, -120), *parts, around[-1]])) == []


def test_a_deep_voice_that_is_clipped_flat_is_no_silence() -> None:
    sound = noise(6, -60)
    time = np.arange(2 * RATE) / RATE
    # Each half of a period is 7 ms at full scale.
    sound[2 * RATE : 4 * RATE] = np.clip(200 * np.sin(2 * np.pi * 70 * time), -1, 1)
    (found,) = segmented(sound)
    assert found.start == pytest.approx(2 - 0.3, abs=0.15)


def test_long_speech_is_cut_at_quiet_places_and_nothing_between_is_lost() -> None:
    sound = scene(2, 33, 2)
    found = segmented(sound)
    assert len(found) == 4
    for before, after in itertools.pairwise(found):
        assert 8 <= before.seconds <= LONGEST
        cut = before.start + before.seconds
        assert cut == pytest.approx(after.start, abs=1e-9)
        # Syllables are quietest at 3/8 s and each 1/4 s after it.
        phase = (cut - 2 - 0.375) % 0.25
        assert min(phase, 0.25 - phase) < 0.07
    assert found[-1].start + found[-1].seconds == pytest.approx(35.6, abs=0.3)


def test_speech_that_the_end_of_the_stream_cuts_off_is_kept() -> None:
    (found,) = segmented(scene(2, 1.5))
    assert found.start + found.seconds == pytest.approx(3.5, abs=0.05)


def test_flush_ends_what_goes_on_and_nothing_else() -> None:
    segmenter = Segmenter()
    assert segmenter.flush() == []
    assert segmenter.feed(scene(2, 1)) == []
    assert segmenter.speaking
    assert len(segmenter.flush()) == 1
    assert not segmenter.speaking
    (later,) = segmenter.feed(scene(2, 1, 2))
    assert later.start == pytest.approx(5 - 0.3, abs=0.15), "the stream's time goes on"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_not_sound_are_harmless(bad: float) -> None:
    segmenter = Segmenter()
    segmenter.feed(noise(4))
    found = segmenter.feed(np.full(RATE // 4, bad, np.float32))
    found += segmenter.feed(scene(3, 1, 2))
    assert np.isfinite(segmenter.level)
    assert found[-1].start == pytest.approx(4.25 + 3 - 0.3, abs=0.2)
    for utterance in found:
        assert np.abs(utterance.samples).max() <= 1
    if not np.isfinite(bad):
        assert len(found) == 1


def test_level_is_in_dbfs() -> None:
    segmenter = Segmenter()
    assert segmenter.level == SILENCE
    segmenter.feed(np.sin(np.arange(1600) * 0.1 * np.pi).astype(np.float32))
    assert segmenter.level == pytest.approx(-3.01, abs=0.01)
    segmenter.feed(np.zeros(7, np.float32))
    assert segmenter.level == SILENCE


def test_clips_that_begin_with_speech_are_heard(speech: Path) -> None:
    for path in sorted((speech / "emodb").glob("*.flac"))[::40]:
        clip = read_clip(path)
        assert sum(utterance.seconds for utterance in segmented(clip)) > 0.7 * len(clip) / RATE


def test_real_speech_in_noise_is_found(speech: Path) -> None:
    clips = sorted((speech / "ravdess" / "Actor_13").glob("03-01-0[135]-01-*.flac"))[:8]
    sound = noise(2, -50)
    places = []
    for number, path in enumerate(clips):
        clip = read_clip(path)
        places.append((len(sound) / RATE, (len(sound) + len(clip)) / RATE))
        clip *= 0.1 / np.sqrt(np.mean(clip[np.abs(clip) > 0.01] ** 2))
        sound = np.concatenate([sound, clip, np.zeros(2 * RATE, np.float32)])
        sound[-len(clip) - 2 * RATE :] += noise((len(clip) + 2 * RATE) / RATE, -35, number)
    found = segmented(sound)
    for begin, end in places:
        inside = [u for u in found if u.start < end and u.start + u.seconds > begin]
        assert inside
        assert sum(utterance.seconds for utterance in inside) > 1
    assert len(found) <= len(clips) + 1
