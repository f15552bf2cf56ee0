"""The 34 features of a frame of speech, as Chau & Garces (2021) feed them to their models.

They are the short-term features of Giannakopoulos, *pyAudioAnalysis* (PLOS ONE 10(12), 2015),
version 0.3.14, with a window of 0.2 s and a hop of 0.1 s. That package computes them one frame at
a time; here all frames of an utterance go through the same few matrix products, in float64, and
come out equal (see ``docs/features.md``).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE, Samples
from shared.frames import Frames
from shared.front_ends.window import check_extremes, check_length
from shared.task import PAPER34

WINDOW: Final = 3_200
"""Samples of a frame (0.2 s); no taper."""

HOP: Final = 1_600
"""Samples from one frame to the next (0.1 s)."""

FEATURE_NAMES: Final = (
    "zcr",
    "energy",
    "energy_entropy",
    "spectral_centroid",
    "spectral_spread",
    "spectral_entropy",
    "spectral_flux",
    "spectral_rolloff",
    *(f"mfcc_{number}" for number in range(1, 14)),
    *(f"chroma_{number}" for number in range(1, 13)),
    "chroma_std",
)
"""What feature ``i`` is called; the reference's own names."""

_Array = NDArray[np.float64]

_BINS: Final = WINDOW // 2
"""Bins of a spectrum: 0 Hz to just under Nyquist, 5 Hz apart."""

_PARTS: Final = 10
"""Sub-frames, and sub-bands, of the two entropies."""

_BLOCK: Final = 25
"""Frames whose spectra are worked on at once: few enough to stay in a small core's cache."""

_ROLLOFF: Final = 0.9
"""Share of the energy below the roll-off."""

_EPSILON: Final = float(np.finfo(np.float64).eps)
"""Keeps the reference's logarithms and quotients finite, and so ours."""


def frame_features(samples: Samples) -> Frames:
    """Compute the features of an utterance's frames.

    The mean and the peak by which the utterance is normalised are those of all of it; of the
    rest only the first 10.1 s (100 frames) are used.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz (see :mod:`shared.audio`).

    Returns
    -------
    Frames
        Shape ``(n, 34)``, float32, always finite: one row for each whole window, at most 100.

    Raises
    ------
    AudioError
        If the utterance is shorter than one window of 0.2 s, or not finite.
    """
    check_length(samples, WINDOW)
    signal = _normalised(samples)
    count = len(signal) // HOP - 1
    features = np.empty((count, PAPER34.features), np.float32)
    features[:, 0] = _zero_crossing_rate(signal)
    features[:, 1:3] = _energy(signal)

    windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP]
    before = None
    for first in range(0, count, _BLOCK):
        block = slice(first, first + _BLOCK)
        magnitude = np.abs(np.fft.rfft(windows[block])[:, :_BINS])
        magnitude /= _BINS
        features[block, 3:] = _spectral(magnitude, magnitude[:1] if before is None else before)
        before = magnitude[-1:]
    return features


def _normalised(samples: Samples) -> _Array:
    """Remove the mean, divide by the peak, and cut to whole hops of at most 100 frames.

    Arithmetic is in the reference's order, so that the sign of each sample is the same to the bit.
    """
    signal = samples.astype(np.float64)
    low, high = signal.min(), signal.max()
    check_extremes(low, high)
    mean = signal.mean()
    peak = max(high - mean, mean - low)
    signal = signal[: min(len(signal) // HOP, PAPER34.frames + 1) * HOP]
    signal -= mean
    signal /= peak + 1e-10
    return signal


def _zero_crossing_rate(signal: _Array) -> _Array:
    """Count changes of sign per pair of neighbours; a change to or from zero counts half."""
    sign = (signal > 0).astype(np.int8) - (signal < 0).astype(np.int8)
    change = np.zeros(len(sign), np.int8)
    np.abs(np.diff(sign), out=change[:-1])
    hops = change.reshape(-1, HOP)
    counts = hops.sum(axis=-1, dtype=np.int64)
    # The last change of a frame's second hop leads out of the frame.
    rate: _Array = (counts[:-1] + counts[1:] - hops[1:, -1]) / 2 / (WINDOW - 1)
    return rate


def _energy(signal: _Array) -> _Array:
    """Compute the mean square and the entropy of energy of each frame, shape ``(n, 2)``."""
    parts = signal.reshape(-1, WINDOW // _PARTS)
    hops = np.einsum("ij,ij->i", parts, parts).reshape(-1, _PARTS // 2)
    shares = np.hstack([hops[:-1], hops[1:]])
    energy = shares.sum(axis=-1, keepdims=True)
    return np.column_stack([energy / WINDOW, _entropy(shares, energy)])


def _entropy(parts: _Array, whole: _Array) -> _Array:
    """Compute the entropy in bits of how a whole is spread over its parts."""
    shares = parts / (whole + _EPSILON)
    entropy: _Array = -(shares * np.log2(shares + _EPSILON)).sum(axis=-1)
    return entropy


def _spectral(magnitude: _Array, before: _Array) -> _Array:
    """Compute features 3 to 33 from spectra ``(n, 1600)`` and the one before them."""
    power = magnitude * magnitude
    bands = power.reshape(len(power), _PARTS, -1).sum(axis=-1)
    energy = bands.sum(axis=-1, keepdims=True)
    chroma = _chroma(power, energy)
    return np.column_stack(
        [
            _centroid_and_spread(magnitude),
            _entropy(bands, energy),
            _flux(magnitude, before),
            _rolloff(power, bands, energy),
            _mfccs(magnitude),
            chroma,
            chroma.std(axis=-1),
        ]
    )


def _centroid_and_spread(magnitude: _Array) -> _Array:
    """Compute the spectrum's mean and standard deviation over frequency, shape ``(n, 2)``."""
    level, first, second = (magnitude @ _moments()).T
    level[level == 0] = 1  # silence: all three are zero
    centroid = first / level
    variance = second / level - centroid**2
    return np.column_stack([centroid, np.sqrt(np.maximum(variance, 0))])


def _flux(magnitude: _Array, before: _Array) -> _Array:
    """Compute the squared distance of each spectrum to the previous one, both of sum 1."""
    shares = np.concatenate([before, magnitude])
    shares /= shares.sum(axis=-1, keepdims=True) + _BINS * _EPSILON
    change = shares[1:] - shares[:-1]
    flux: _Array = np.einsum("ij,ij->i", change, change)
    return flux


def _rolloff(power: _Array, bands: _Array, energy: _Array) -> _Array:
    """Find the bin below which 90 % of the energy lies, as a share of all bins.

    First the sub-band, then the bin in it: a running sum over all bins would take three times
    as long.
    """
    frame = np.arange(len(power))
    threshold = _ROLLOFF * energy
    reached = np.cumsum(bands, axis=-1)
    reached += _EPSILON
    band = (reached > threshold).argmax(axis=-1)
    within = power.reshape(len(power), _PARTS, -1)[frame, band]
    within[:, 0] += reached[frame, band] - bands[frame, band]
    # Counted, not looked up: where rounding leaves none above, the next sub-band's first is right.
    below = np.count_nonzero(np.cumsum(within, axis=-1) <= threshold, axis=-1)
    rolloff: _Array = (band * (_BINS // _PARTS) + below) / _BINS
    return rolloff


def _mfccs(magnitude: _Array) -> _Array:
    """Compute the 13 cepstral coefficients of each frame, shape ``(n, 13)``."""
    where, bank, cosines = _mel_bank()
    mfccs: _Array = np.log10(magnitude[:, where] @ bank + _EPSILON) @ cosines
    return mfccs


def _chroma(power: _Array, energy: _Array) -> _Array:
    """Compute the share of energy in each of 12 pitch classes, shape ``(n, 12)``."""
    bins, folding = _chroma_map()
    chroma: _Array = power[:, bins] @ folding / np.where(energy == 0, _EPSILON, energy)
    return chroma


@cache
def _moments() -> _Array:
    """Sum, first and second moment over frequency (Nyquist = 1), shape ``(1600, 3)``."""
    frequency = np.arange(1, _BINS + 1) / _BINS
    return np.stack([np.ones(_BINS), frequency, frequency**2], axis=-1)


@cache
def _mel_bank() -> tuple[slice, _Array, _Array]:
    """Give the bins the filters touch, the filters ``(bins, 40)``, the cosines ``(40, 13)``.

    13 linear and 27 logarithmic triangles of equal area (Slaney, *Auditory Toolbox*, 1998). The
    reference takes its bins to be 10 Hz apart where they are 5 Hz apart, so each filter sits at
    half its nominal frequency; so do ours.
    """
    linear, logarithmic = 13, 27
    corner = 133.33 + 200 / 3 * np.arange(linear)
    corner = np.append(corner, corner[-1] * 1.0711703 ** np.arange(1, logarithmic + 3))
    low, centre, high = corner[:-2], corner[1:-1], corner[2:]
    frequency = np.arange(_BINS)[:, None] / _BINS * RATE
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    bank = np.maximum(np.minimum(rising, falling), 0) * 2 / (high - low)
    touched = np.flatnonzero(bank.any(axis=-1))
    where = slice(int(touched[0]), int(touched[-1]) + 1)

    filters = linear + logarithmic
    cosines = np.cos(np.pi / filters * np.outer(np.arange(filters) + 0.5, np.arange(13)))
    cosines *= np.sqrt(2 / filters)
    cosines[:, 0] /= np.sqrt(2)
    return where, np.ascontiguousarray(bank[where]), cosines


@cache
def _chroma_map() -> tuple[NDArray[np.int64], _Array]:
    """Give the bins that count for chroma, and their weights ``(bins, 12)``.

    The reference writes each bin to the place of its semitone above 27.5 Hz, where a later bin
    overwrites an earlier one, so of each semitone only the highest bin counts; semitones below
    27.5 Hz wrap round to the end. It then divides place ``p`` by the number of bins that share
    the semitone of bin ``semitone[p]`` - not of semitone ``p``.
    """
    frequency = np.arange(1, _BINS + 1) * RATE / WINDOW
    semitone = np.round(12 * np.log2(frequency / 27.5)).astype(int)
    _, which, counts = np.unique(semitone, return_inverse=True, return_counts=True)
    sharing = counts[which]
    bins = np.flatnonzero(np.diff(semitone, append=semitone[-1] + 1))
    places = semitone[bins] % _BINS
    folding = np.zeros((len(bins), 12))
    folding[np.arange(len(bins)), places % 12] = 1 / sharing[semitone[places]]
    return bins, folding
