"""How long utterances are made for a model that takes them at any length.

Their features lie in one array, each padded with zeros at its end. A model that pools over time
(:class:`shared.architectures.StatisticsPooling`) is told which frames count, so what lies behind an
utterance never changes a result.
"""

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.frames import STEP


def model_length(architecture: Architecture, frames: NDArray[np.int32]) -> int:
    """Give the length to which a model's utterances are padded.

    Parameters
    ----------
    architecture
        The model.
    frames
        Shape ``(n,)``, at least one: true frames of each.

    Returns
    -------
    int
        ``architecture.frames`` where all are of one length; else room for the longest, and for one
        frame behind all convolutions, in steps of :data:`shared.frames.STEP`.
    """
    if not architecture.variable:
        return architecture.frames
    longest = max(int(frames.max()), architecture.reach)
    return -(-longest // STEP) * STEP


def padded(
    features: NDArray[np.float32], frames: NDArray[np.int32], length: int
) -> NDArray[np.float32]:
    """Pad or cut utterances to a length; zeros lie behind their ends.

    Parameters
    ----------
    features
        Shape ``(n, L, features)``.
    frames
        Shape ``(n,)``: true frames of each, at most ``length``.
    length
        As :func:`model_length` gives it.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, length, features)``; a copy.
    """
    result = np.zeros((len(features), length, features.shape[2]), np.float32)
    kept = min(length, features.shape[1])
    true = np.arange(kept) < frames[:, None]
    np.copyto(result[:, :kept], features[:, :kept], where=true[:, :, None])
    return result


def shares(architecture: Architecture, frames: NDArray[np.int32]) -> NDArray[np.float32]:
    """Compute what each frame behind the convolutions counts in the mean of its utterance.

    A frame counts only if all the frames under its receptive field are true; of an utterance
    shorter than that the first one counts, computed from zeros at its end.

    Parameters
    ----------
    architecture
        The model, at the length to which utterances are padded.
    frames
        Shape ``(n,)``: true frames of each.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, architecture.behind(architecture.frames))``; each row sums to one.
    """
    most = architecture.behind(architecture.frames)
    counting = np.clip(architecture.behind(frames), 1, most)[:, None]
    places = np.arange(most)
    return np.where(places < counting, 1 / counting, 0).astype(np.float32)
