"""How far the sound stands out from the noise: voice activity, 20 ms at a time.

The power of each frame is taken in eleven bands from 100 Hz to 7.5 kHz, about equally wide to the
ear. A band's noise floor is the smallest smoothed power of the last three seconds: speech, however
long, leaves each band again and again, noise does not (minimum statistics: Martin, "Noise power
spectral density estimation based on optimal smoothing and minimum statistics", IEEE Transactions on
Speech and Audio Processing 9(5), 2001). What remains is the mean over the bands, and over the last
0.14 s, of the dB above the floor: about 1.8 in any steady noise, however loud, because a minimum
lies below the mean; 5 to 25 in speech.
"""

from typing import TYPE_CHECKING, Final

import numpy as np

from edge_client.hearing.source import BLOCK
from shared.audio import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME: Final = BLOCK
"""Samples judged at once: 20 ms, so that the bins of the spectrum are 50 Hz apart."""

_BANDS: Final = np.array([2, 4, 6, 8, 11, 15, 20, 27, 36, 50, 80, 150])
"""Their limits, in bins."""

_SMOOTHING: Final = 0.8
"""What is kept of the smoothed power in each frame: a time constant of 0.1 s."""

_MEMORY: Final = 150
"""Frames that the noise floor goes back: 3 s. Noise that rises is taken for speech so long."""

_FIRST: Final = 4
"""Frames (0.08 s) of a stream that its first noise floor is the mean of."""

RESPONSE: Final = 7
"""Frames that a judgement looks back on: 0.14 s."""

_QUIET: Final = 1e-9
"""Power of a band (-90 dBFS) below which nothing counts: the last bits of a converter are no
speech."""

_SILENT: Final = 2.0**-17
"""What samples of digital silence stay below: a quarter of the last of 16 bits. Sound cards, muted
microphones and sound servers give zeros, and a resampler rings where zeros begin and end."""

_PARTS: Final = 4
"""Parts of a frame (5 ms each) of which none may be silent: no room is, not even so long."""

_MOST: Final = 30.0
"""dB above the floor that one band can count."""


class VoiceActivity:
    """Follows the noise floor of a stream, and says how far each frame stands out."""

    def __init__(self) -> None:
        self._window = np.hanning(FRAME)
        # A full-scale sine has power 1 / 2 in the band where it lies.
        self._scale = 2 / (FRAME * np.sum(self._window**2))
        self._smoothed: NDArray[np.float64] = np.zeros(len(_BANDS) - 1)
        self._past = np.full((_MEMORY, len(_BANDS) - 1), np.inf)
        self._recent = np.zeros(RESPONSE)
        self._heard = self._count = 0

    def excess(self, frame: Samples) -> float:
        """Say how far the sound stands out now.

        Parameters
        ----------
        frame
            Shape ``(320,)``, finite, the next 20 ms. One with digital silence in it, or all equal,
            says nothing about the noise.

        Returns
        -------
        float
            dB above the noise floor, mean over bands and the last seven frames.
        """
        loudest = np.abs(frame.reshape(_PARTS, -1)).max(axis=1)
        if loudest.min() < _SILENT or frame.min() == frame.max():
            return self._judged(0.0)
        spectrum = np.fft.rfft(frame * self._window)
        power = (spectrum.real**2 + spectrum.imag**2) * self._scale
        bands = np.add.reduceat(power, _BANDS)[:-1]
        self._heard += 1
        # The first frames count alike, and are one entry: a single frame's power is no floor.
        self._smoothed += max(1 - _SMOOTHING, 1 / self._heard) * (bands - self._smoothed)
        self._past[max(0, self._heard - _FIRST) % _MEMORY] = self._smoothed
        floor = np.maximum(self._past.min(axis=0), _QUIET)
        above = np.clip(10 * np.log10(np.maximum(bands, _QUIET) / floor), 0, _MOST)
        return self._judged(float(above.mean()))

    def _judged(self, above: float) -> float:
        self._recent[self._count % RESPONSE] = above
        self._count += 1
        return float(self._recent.sum()) / RESPONSE
