"""Mel filters, for the front ends that hear through them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE

# Slaney, Auditory Toolbox (1998): linear up to 1 kHz, 15 mels there, logarithmic above.
_HERTZ_A_MEL: Final = 200 / 3
_CORNER: Final = 1000.0
_STEP: Final = float(np.log(6.4)) / 27

_Array = NDArray[np.float64]


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
