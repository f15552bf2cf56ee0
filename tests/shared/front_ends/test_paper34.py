import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio import RATE, Samples, read_clip, to_utterance
from shared.audio.clip_search import clips_below
from shared.errors import AudioError
from shared.frames import pad
from shared.front_ends import FRONT_ENDS
from shared.front_ends.clips import clip_features
from shared.front_ends.paper34 import FEATURE_NAMES, HOP, WINDOW, frame_features
from shared.task import PAPER34

PAPER = FRONT_ENDS.get("paper34")

SECONDS_3 = np.arange(3 * RATE) / RATE


def reference(samples: Samples) -> tuple[NDArray[np.float64], list[str]]:
    from pyAudioAnalysis.ShortTermFeatures import feature_extraction

    scaled = samples.astype(np.float64) * 32768
    features, names = feature_extraction(scaled, RATE, WINDOW, HOP, deltas=False)
    return features.T[:100], names


def assert_equal_to_reference(samples: Samples, relative: float = 1e-5) -> None:
    expected, _ = reference(samples)
    features = frame_features(samples)
    assert features.dtype == np.float32
    assert features.shape == expected.shape
    for index, name in enumerate(FEATURE_NAMES):
        np.testing.assert_allclose(
            features[:, index], expected[:, index], rtol=relative, atol=1e-6, err_msg=name
        )


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sixteen_bit(samples: NDArray[np.float64]) -> Samples:
    return to_utterance(np.round(samples * 32767).astype(np.int16), RATE)


def click(at: int, length: int = 3 * RATE) -> Samples:
    samples = np.zeros(length, np.float32)
    samples[at] = 1
    return samples


EDGES: dict[str, Callable[[], NDArray[Any]]] = {
    "one window exactly": lambda: random().standard_normal(WINDOW),
    "one sample short of two frames": lambda: random().standard_normal(WINDOW + HOP - 1),
    "two frames exactly": lambda: random().standard_normal(WINDOW + HOP),
    "silence with one click": lambda: click(20_000),
    "silence with two clicks, no offset": lambda: click(20_000) - click(7_000),
    "click in the first sample": lambda: click(0),
    "digital silence": lambda: np.zeros(3 * RATE),
    "constant": lambda: np.full(3 * RATE, 0.3),
    "full-scale square wave": lambda: np.sign(np.sin(2 * np.pi * 101 * SECONDS_3)),
    "clipped": lambda: np.clip(2 * random().standard_normal(3 * RATE), -1, 1),
    "offset": lambda: 0.1 * random().standard_normal(3 * RATE) + 0.5,
    "quiet": lambda: 1e-5 * random().standard_normal(3 * RATE),
    "very quiet": lambda: 1e-12 * random().standard_normal(3 * RATE),
    "last bit": lambda: random().integers(-1, 2, 3 * RATE) / 32768,
    "tone at a bin's edge": lambda: sixteen_bit(np.sin(2 * np.pi * 1003.3 * SECONDS_3)),
    "high tone": lambda: sixteen_bit(np.sin(2 * np.pi * 7_990.1 * SECONDS_3)),
    "tone at a bin": lambda: np.sin(2 * np.pi * 1_000 * SECONDS_3),
    "noise, then silence": lambda: random().standard_normal(3 * RATE) * (SECONDS_3 < 1),
    "14 s": lambda: random().standard_normal(14 * RATE) * np.linspace(0, 1, 14 * RATE),
}


@pytest.mark.parametrize("edge", EDGES)
def test_equal_to_the_reference_at_the_edges(edge: str) -> None:
    assert_equal_to_reference(EDGES[edge]().astype(np.float32))


def test_equal_to_the_reference_on_48_khz_stereo(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", random().uniform(-1, 1, (96_000, 2)), 48_000)
    samples = read_clip(tmp_path / "clip.wav")
    assert_equal_to_reference(samples)
    np.testing.assert_array_equal(
        clip_features(tmp_path / "clip.wav", PAPER), frame_features(samples)
    )


@pytest.mark.parametrize("hertz", [50, 440])
def test_tone_that_repeats_in_each_frame_differs_by_rounding_only(hertz: int) -> None:
    # All bins but one hold nothing but the rounding of the Fourier transform, of which the
    # logarithm in the MFCCs makes something, in the reference as in ours.
    assert_equal_to_reference(
        np.sin(2 * np.pi * hertz * SECONDS_3).astype(np.float32), relative=0.01
    )


@functools.cache
def clips(speech: Path) -> list[Path]:
    return [*clips_below(speech / "ravdess")[::36], *clips_below(speech / "emodb")[::16]]


def test_equal_to_the_reference_on_real_speech(speech: Path) -> None:
    chosen = clips(speech)
    assert len(chosen) >= 60
    for path in chosen:
        assert_equal_to_reference(read_clip(path))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(WINDOW, 3 * WINDOW),
    st.sampled_from([1, 4, 64, 32768]),
    st.floats(-1, 1, width=32),
)
def test_equal_to_the_reference_on_random_sound(
    seed: int, length: int, levels: int, offset: float
) -> None:
    coarse = np.round(random(seed).uniform(-levels, levels, length)) / 32768
    assert_equal_to_reference((coarse + offset).astype(np.float32))


def test_names_are_the_references() -> None:
    assert list(FEATURE_NAMES) == reference(click(100))[1]
    assert len(FEATURE_NAMES) == 34


def test_features_see_the_loudness_of_the_whole_clip_but_not_its_scale() -> None:
    samples = random().uniform(-0.25, 0.25, 12 * RATE).astype(np.float32)
    np.testing.assert_allclose(
        frame_features(samples * 2), frame_features(samples), rtol=1e-5, atol=1e-6
    )
    samples[-1] = 1
    assert frame_features(samples)[:, 1].max() < 0.05


def test_same_after_the_first_hundred_frames_with_same_mean_and_peak() -> None:
    samples = sixteen_bit(random().uniform(-1, 1, 12 * RATE))
    again = samples.copy()
    again[-RATE:] = again[-RATE:][::-1]
    assert len(frame_features(samples)) == 100
    np.testing.assert_array_equal(frame_features(again), frame_features(samples))


@pytest.mark.parametrize(("length", "frames"), [(3_200, 1), (4_799, 1), (4_800, 2)])
def test_only_whole_windows_are_frames(length: int, frames: int) -> None:
    assert len(frame_features(click(10, length))) == frames


@pytest.mark.parametrize("frames", [99, 100, 101])
def test_at_most_100_frames(frames: int) -> None:
    length = WINDOW + (frames - 1) * HOP
    assert len(frame_features(click(10, length))) == min(frames, 100)


@pytest.mark.parametrize("length", [0, 1, 160, WINDOW - 1])
def test_too_short_is_an_error(length: int) -> None:
    with pytest.raises(AudioError, match=r"less than one window of 0\.2 s"):
        frame_features(np.zeros(length, np.float32))


def test_too_short_clip_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "The clip.wav", np.ones(160), RATE)
    with pytest.raises(AudioError) as caught:
        clip_features(tmp_path / "The clip.wav", PAPER)
    assert caught.value.problem == (
        f"The clip {tmp_path}/The clip.wav lasts 0.01 s, less than one window of 0.2 s."
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_an_error(value: float) -> None:
    samples = click(10)
    samples[-1] = value
    with pytest.raises(AudioError, match="not finite"):
        frame_features(samples)


def test_samples_are_left_as_they_are() -> None:
    samples = random().standard_normal(RATE)
    before = samples.copy()
    frame_features(samples)  # type: ignore[arg-type]  # float64 works too, and must not be changed
    np.testing.assert_array_equal(samples, before)


def test_padding() -> None:
    frames = random().standard_normal((120, 34)).astype(np.float32)
    padded = pad(frames[:7], PAPER34)
    assert padded.shape == (100, 34)
    assert padded.dtype == np.float32
    np.testing.assert_array_equal(padded[:7], frames[:7])
    assert not padded[7:].any()
    np.testing.assert_array_equal(pad(frames, PAPER34), frames[:100])
