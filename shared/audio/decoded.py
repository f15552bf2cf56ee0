"""A file of sound while it is decoded, whoever decodes it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file that is being decoded.

    Attributes
    ----------
    rate
        Samples per second.
    channels
        Channels of each block.
    seconds
        How long it says it is; 0 if it does not. That may be wrong.
    blocks
        Its sound to its true end, of shape ``(samples, channels)`` each, float32, full scale at 1.
        Raises :class:`~shared.errors.AudioError` where it is damaged.
    """

    rate: int
    channels: int
    seconds: float
    blocks: Iterator[NDArray[np.float32]]
