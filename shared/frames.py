"""Features of utterances as arrays, whatever front end computed them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.task import FrontEndShape

Frames = NDArray[np.float32]
"""Features of consecutive frames: shape ``(n, features)``."""

STEP: Final = 50
"""Where the length varies, utterances are padded to a multiple of this many frames: models meet
few lengths, and little padding."""


CLIP: Final = 5.0
"""Normalised values are kept within plus and minus this many standard deviations."""

FLOOR: Final = 1e-4
"""Least standard deviation divided by: a hundredth of the smallest in real speech, and a hundred
times what float32 makes of a feature that does not change."""


def normalised(
    values: NDArray[Any], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Bring features to mean 0 and deviation 1.

    Parameters
    ----------
    values
        Shape ``(..., features)``; left as they are.
    mean, deviation
        Shape ``(features,)``.

    Returns
    -------
    numpy.ndarray
        Same shape, within ±:data:`CLIP`.
    """
    scaled = np.clip((values - mean) / np.maximum(deviation, FLOOR), -CLIP, CLIP)
    found: NDArray[np.float32] = scaled.astype(np.float32)
    return found


def padded_length(longest: int, shape: FrontEndShape) -> int:
    """Say how many frames utterances have in one array, padding included.

    Parameters
    ----------
    longest
        True frames of the longest of them.
    shape
        Of what computed them.

    Returns
    -------
    int
        ``shape.frames``; where the length varies, ``longest`` rounded up to a multiple of
        :data:`STEP`.
    """
    return max(1, -(-longest // STEP)) * STEP if shape.variable else shape.frames


def pad(frames: Frames, shape: FrontEndShape) -> Frames:
    """Bring an utterance's frames to the length that models take.

    Parameters
    ----------
    frames
        Shape ``(n, features)``.
    shape
        Of what computed them.

    Returns
    -------
    Frames
        Shape ``(L, features)``, float32, L as :func:`padded_length` gives it: zeros after the
        utterance's end, or its first ``shape.frames`` frames.
    """
    padded: Frames = stack([frames], shape)[0]
    return padded


def stack(utterances: Sequence[Frames], shape: FrontEndShape) -> NDArray[np.float32]:
    """Put utterances into one array.

    Parameters
    ----------
    utterances
        Shape ``(n, features)`` each.
    shape
        Of what computed them.

    Returns
    -------
    numpy.ndarray
        Shape ``(utterances, L, features)``, float32, each padded as :func:`pad` does, to the length
        of the longest.
    """
    cut = [frames[: shape.frames] for frames in utterances]
    length = padded_length(max(map(len, cut), default=0), shape)
    stacked = np.zeros((len(cut), length, shape.features), np.float32)
    for place, frames in zip(stacked, cut, strict=True):
        place[: len(frames)] = frames
    return stacked


def joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put arrays of utterances that are padded to different lengths into one.

    Parameters
    ----------
    parts
        Shape ``(n, L, features)`` each, of one front end; at least one.

    Returns
    -------
    numpy.ndarray
        Shape ``(sum of n, longest L, features)``, float32.
    """
    length = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, length - part.shape[1]), (0, 0))) for part in parts]
    )
