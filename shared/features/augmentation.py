"""Augmentation of normalised features, light enough for a device.

It varies what differs between recordings of the same emotion: when the speaking begins, how long
it lasts, the microphone, the room, the voice. After normalisation a feature's unit is its standard
deviation. Masks of time and feature follow SpecAugment (Park et al., 2019).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.front_ends import FrontEnd

SHIFT: Final = 0.5
"""Seconds by which an utterance is moved at most, either way; what leaves the front is cut."""

SCALE: Final = 0.1
"""Spread of the logarithm of a factor on each feature, constant over an utterance."""

OFFSET: Final = 0.2
"""Spread of an offset of each feature, constant over an utterance."""

NOISE: Final = 0.3
"""Spread of noise on each value."""

FEATURE_MASK: Final = 0.1
"""Probability that a feature is blanked for an utterance."""

TIME_MASKS: Final = 2
"""Spans of time that are blanked."""

TIME_MASK: Final = 0.4
"""Seconds of such a span, at most."""


def augment(
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
    rng: np.random.Generator,
    front_end: FrontEnd,
) -> NDArray[np.float32]:
    """Vary a batch of utterances at random.

    Parameters
    ----------
    features
        Shape ``(b, frames, features)``, normalised; zero behind each utterance's end.
    frames
        Shape ``(b,)``: the true number of frames of each.
    rng
        Where the randomness comes from.
    front_end
        What computed the features: its hop says how many frames a time is.

    Returns
    -------
    numpy.ndarray
        As ``features``, float32; those are left as they are.
    """
    batch, length, width = features.shape
    shift, mask = front_end.frames_of(SHIFT), front_end.frames_of(TIME_MASK)
    time = np.arange(length)
    inside = time < frames[:, None]
    varied = features * np.exp(_normal(rng, SCALE, batch, 1, width))
    varied += _normal(rng, OFFSET, batch, 1, width)
    varied += _normal(rng, NOISE, batch, length, width)
    for _ in range(TIME_MASKS):
        span = rng.integers(0, mask + 1, batch)
        start = rng.integers(0, np.maximum(1, frames - span))
        inside &= ~((time >= start[:, None]) & (time < (start + span)[:, None]))
    varied *= inside[:, :, None]
    varied *= rng.random((batch, 1, width)) >= FEATURE_MASK
    source = time - rng.integers(-shift, shift + 1, batch)[:, None]
    known = (source >= 0) & (source < length)
    moved = np.take_along_axis(varied, np.where(known, source, 0)[:, :, None], axis=1)
    moved *= known[:, :, None]
    return moved


def _normal(rng: np.random.Generator, spread: float, *shape: int) -> NDArray[np.float32]:
    return rng.standard_normal(shape, np.float32) * np.float32(spread)
