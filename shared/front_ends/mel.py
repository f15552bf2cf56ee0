"""Mel filters, for the front ends that hear through them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE

# Slaney, Auditory Toolbox (1998): linear up to 1 kHz, 15 mels there, logarithmic above.
_HERTZ_A_MEL: Final = 200 / 3
_CORNER: Final = 1000.0
_STEP: Final = float(np.log(6.4)) / 27

_BLOCK: Final = 50
"""Frames whose spectra are worked on at once: few enough to stay in a small core's cache."""

_Array = NDArray[np.float64]


def hann(window: int) -> _Array:
    """Give a periodic Hann window of so many samples."""
    taper: _Array = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return taper


def mel_powers(windows: _Array, taper: _Array, bank: _Array) -> _Array:
    """Compute the power of frames in each filter.

    Parameters
    ----------
    windows
        The samples of each frame, shape ``(n, window)``.
    taper
        What they are multiplied by, :func:`hann`.
    bank
        The filters, :func:`mel_filters`.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, mels)``, float64.
    """
    powers = np.empty((len(windows), bank.shape[1]))
    for first in range(0, len(windows), _BLOCK):
        block = slice(first, first + _BLOCK)
        spectrum = np.fft.rfft(windows[block] * taper)
        powers[block] = (spectrum.real**2 + spectrum.imag**2) @ bank
    return powers


def mel_filters(window: int, mels: int) -> _Array:
    """Give triangles of equal area from 0 to 8 kHz, as ``librosa.filters.mel`` does.

    Parameters
    ----------
    window
        Samples of a frame.
    mels
        Filters.

    Returns
    -------
    numpy.ndarray
        Shape ``(window // 2 + 1, mels)``, float64.
    """
    edges = _hertz(np.linspace(0, _mel(RATE / 2), mels + 2))
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    frequency = np.fft.rfftfreq(window, 1 / RATE)[:, None]
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    bank: _Array = np.maximum(np.minimum(rising, falling), 0) * 2 / (high - low)
    return bank


def _mel(hertz: float) -> float:
    if hertz < _CORNER:
        return hertz / _HERTZ_A_MEL
    return _CORNER / _HERTZ_A_MEL + float(np.log(hertz / _CORNER)) / _STEP


def _hertz(mels: _Array) -> _Array:
    beyond = np.maximum(mels - _CORNER / _HERTZ_A_MEL, 0)
    return np.where(beyond > 0, _CORNER * np.exp(_STEP * beyond), mels * _HERTZ_A_MEL)
