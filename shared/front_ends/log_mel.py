"""The logarithmic mel spectrum that a Whisper hears.

As ``whisper.log_mel_spectrogram`` of openai-whisper computes it (Radford et al., *Robust Speech
Recognition via Large-Scale Weak Supervision*, 2022): a periodic Hann window of 25 ms, a hop of 10
ms, the sound reflected at both ends, the power of 201 bins, mel filters of Slaney's kind with equal
area from 0 to 8 kHz, the logarithm to base 10, at most 8 below the largest, then ``(x + 4) / 4``.

A hop that the utterance ends in has its frame, as where Whisper adds silence up to 30 s. That
function, given the utterance alone, leaves it out.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import Samples
from shared.front_ends.mel import hann, mel_filters, mel_powers
from shared.front_ends.window import check_extremes, check_length

WINDOW: Final = 400
"""Samples of a frame (25 ms)."""

HOP: Final = 160
"""Samples from one frame to the next (10 ms)."""

_FLOOR: Final = 1e-10
"""Least power whose logarithm is taken."""

_RANGE: Final = 8.0
"""Powers of ten below the largest at which the rest is cut off."""


def log_mel(samples: Samples, mels: int) -> NDArray[np.float32]:
    """Compute the spectrum of an utterance.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz.
    mels
        Bands.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, mels)``, float32, always finite: a frame for each hop that is begun.

    Raises
    ------
    AudioError
        If the utterance is shorter than one window, or not finite.
    """
    check_length(samples, WINDOW)
    signal = np.pad(samples.astype(np.float64), WINDOW // 2, mode="reflect")
    check_extremes(signal.min(), signal.max())
    windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[:-1:HOP]
    taper, bank = _tables(mels)
    level = mel_powers(windows, taper, bank)
    np.maximum(level, _FLOOR, out=level)
    np.log10(level, out=level)
    np.maximum(level, level.max() - _RANGE, out=level)
    return ((level + 4) / 4).astype(np.float32)


@cache
def _tables(mels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the window ``(400,)`` and the filters ``(201, mels)``."""
    return hann(WINDOW), mel_filters(WINDOW, mels)
