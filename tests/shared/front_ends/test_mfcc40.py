"""The 40 coefficients are librosa's, computed without librosa."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio import RATE, Samples, read_clip
from shared.audio.clip_search import clips_below
from shared.errors import AudioError
from shared.front_ends import FRONT_ENDS
from shared.front_ends.mfcc40 import HOP, WINDOW, frame_features

SECONDS_3 = np.arange(3 * RATE) / RATE


def reference(samples: Samples) -> NDArray[np.float64]:
    """Compute them by librosa, in float64, so that its rounding does not count."""
    import librosa

    heard = samples[: 10 * RATE].astype(np.float64)
    found: NDArray[np.float64] = librosa.feature.mfcc(
        y=heard, sr=RATE, n_mfcc=40, n_fft=400, hop_length=160
    )
    return found.T[:1000]


def assert_equal_to_reference(samples: Samples) -> None:
    features, expected = frame_features(samples), reference(samples)
    assert features.dtype == np.float32
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-4)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


EDGES: dict[str, Callable[[], NDArray[Any]]] = {
    "one window exactly": lambda: random().standard_normal(WINDOW),
    "a sample short of a hop more": lambda: random().standard_normal(WINDOW + HOP - 1),
    "digital silence": lambda: np.zeros(3 * RATE),
    "one click": lambda: np.eye(1, 3 * RATE, 20_000)[0],
    "constant": lambda: np.full(3 * RATE, 0.3),
    "full-scale square wave": lambda: np.sign(np.sin(2 * np.pi * 101 * SECONDS_3)),
    "offset": lambda: 0.1 * random().standard_normal(3 * RATE) + 0.5,
    "very quiet": lambda: 1e-7 * random().standard_normal(3 * RATE),
    "last bit": lambda: random().integers(-1, 2, 3 * RATE) / 32768,
    "tone": lambda: np.sin(2 * np.pi * 1_003.3 * SECONDS_3),
    "noise, then silence": lambda: random().standard_normal(3 * RATE) * (SECONDS_3 < 1),
    "10 s": lambda: random().standard_normal(10 * RATE),
    "10 s less a sample": lambda: random().standard_normal(10 * RATE - 1),
    "14 s, louder and louder": lambda: (
        random().standard_normal(14 * RATE) * np.linspace(0, 1, 14 * RATE)
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_equal_to_librosa_at_the_edges(edge: str) -> None:
    assert_equal_to_reference(EDGES[edge]().astype(np.float32))


def test_equal_to_librosa_on_real_speech(speech: Path) -> None:
    chosen = [*clips_below(speech / "ravdess")[::72], *clips_below(speech / "emodb")[::32]]
    assert len(chosen) >= 30
    for path in chosen:
        assert_equal_to_reference(read_clip(path))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(WINDOW, 20 * WINDOW), st.floats(-1, 1, width=32))
def test_equal_to_librosa_on_random_sound(seed: int, length: int, offset: float) -> None:
    noise = random(seed).uniform(-0.1, 0.1, length) + offset
    assert_equal_to_reference(noise.astype(np.float32))


@pytest.mark.parametrize(
    ("length", "frames"),
    [
        (400, 3),
        (479, 3),
        (480, 4),
        (159_839, 999),
        (159_840, 1000),
        (160_000, 1000),
        (480_000, 1000),
    ],
)
def test_there_is_a_frame_for_each_hop_begun_and_at_most_1000(length: int, frames: int) -> None:
    features = frame_features(random().standard_normal(length).astype(np.float32))
    assert features.shape == (frames, 40)


def test_what_comes_after_ten_seconds_is_not_listened_to() -> None:
    samples = random().standard_normal(12 * RATE).astype(np.float32)
    features = frame_features(samples)
    samples[10 * RATE :] = 1e6
    np.testing.assert_array_equal(frame_features(samples), features)


@pytest.mark.parametrize("length", [0, 1, WINDOW - 1])
def test_too_short_is_an_error(length: int) -> None:
    with pytest.raises(AudioError, match=r"less than one window of 0\.025 s"):
        frame_features(np.zeros(length, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_an_error(value: float) -> None:
    samples = np.zeros(RATE, np.float32)
    samples[-1] = value
    with pytest.raises(AudioError, match="not finite"):
        frame_features(samples)


def test_it_is_computed_without_librosa_scipy_or_numba() -> None:
    script = (
        "import sys, numpy\n"
        "from shared.front_ends import FRONT_ENDS\n"
        "FRONT_ENDS.get('mfcc40').compute(numpy.zeros(16000, 'f4'))\n"
        "print({'librosa', 'scipy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_registry_gives_these_features() -> None:
    samples = random().standard_normal(RATE).astype(np.float32)
    found = FRONT_ENDS.get("mfcc40").compute(samples)
    np.testing.assert_array_equal(found, frame_features(samples))
