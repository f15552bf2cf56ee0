"""40 mel-frequency cepstral coefficients every 10 ms, equal to librosa's without librosa.

They are what ``librosa.feature.mfcc(y=samples, sr=16000, n_mfcc=40, n_fft=400, hop_length=160)`` of
librosa 0.11 gives for the first 10 s: a Hann window of 25 ms, a hop of 10 ms, and its defaults for
the rest (frames centred on their time with zeros around the sound, the power of 201 bins, 128 mel
filters of Slaney's kind with equal area from 0 to 8 kHz, decibels at most 80 below the loudest
filter of the utterance, an orthonormal DCT-II).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import Samples
from shared.frames import Frames
from shared.front_ends import MFCC40
from shared.front_ends.mel import hann, mel_filters, mel_powers
from shared.front_ends.window import check_extremes, check_length

WINDOW: Final = 400
"""Samples of a frame (25 ms), under a periodic Hann window."""

HOP: Final = 160
"""Samples from one frame to the next (10 ms)."""

MELS: Final = 128
"""Mel filters."""

_LONGEST: Final = MFCC40.frames * HOP
"""Samples that are listened to; what comes after them is not."""

_FLOOR: Final = 1e-10
"""Least power whose logarithm is taken."""

_RANGE: Final = 80.0
"""Decibels below the loudest at which the rest is cut off."""

_Array = NDArray[np.float64]


def frame_features(samples: Samples) -> Frames:
    """Compute the coefficients of an utterance's frames.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz; the first 10 s are used.

    Returns
    -------
    Frames
        Shape ``(n, 40)``, float32, always finite: a frame for each hop begun, at most 1,000.

    Raises
    ------
    AudioError
        If the utterance is shorter than one window of 25 ms, or not finite.
    """
    check_length(samples, WINDOW)
    signal = np.pad(samples[:_LONGEST].astype(np.float64), WINDOW // 2)
    check_extremes(signal.min(), signal.max())
    windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP][: MFCC40.frames]
    taper, bank, cosines = _tables()
    level = mel_powers(windows, taper, bank)
    np.maximum(level, _FLOOR, out=level)
    np.log10(level, out=level)
    level *= 10
    np.maximum(level, level.max() - _RANGE, out=level)
    return (level @ cosines).astype(np.float32)


@cache
def _tables() -> tuple[_Array, _Array, _Array]:
    """Give the window ``(400,)``, the filters ``(201, 128)`` and the cosines ``(128, 40)``."""
    cosines = np.cos(np.pi / MELS * np.outer(np.arange(MELS) + 0.5, np.arange(MFCC40.features)))
    cosines *= np.sqrt(2 / MELS)
    cosines[:, 0] /= np.sqrt(2)
    return hann(WINDOW), mel_filters(WINDOW, MELS), cosines
