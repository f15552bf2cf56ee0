"""Sounds for tests of hearing: noise, and bursts that stand out from it."""

from typing import TYPE_CHECKING

import numpy as np

from shared.audio import RATE, Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(seconds: float, level: float = -40, seed: int = 0) -> Samples:
    """Make white noise of a level in dBFS."""
    sound = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (sound * 10 ** (level / 20)).astype(np.float32)


def scene(*parts: float, level: float = -12, floor: float = -40) -> Samples:
    """Alternate noise and a buzz like a voice in it, of so many seconds each, noise first."""
    sound = noise(sum(parts), floor)
    at = 0.0
    for number, seconds in enumerate(parts):
        if number % 2:
            begin = round(at * RATE)
            into = sound[begin : begin + round(seconds * RATE)]
            into += buzz(seconds)[: len(into)] * 10 ** (level / 20)
        at += seconds
    return sound


def buzz(seconds: float) -> Samples:
    """Make 40 harmonics of a voice's pitch that rises and falls, four syllables a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * 1.3 * time)) / RATE
    sound: NDArray[np.float64] = sum(
        (np.sin(k * phase) / k for k in range(1, 41)), np.zeros(len(time))
    )
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time)
    voice: Samples = (sound * syllables / 2).astype(np.float32)
    return voice
