"""Every value as a multiple, from -127 to 127, of a scale: 1 byte a value.

Values are rounded up or down at random, with the probabilities that make the mean right, so that
what is lost in one client's update is made up for by others' (QSGD, Alistarh et al., 2017:
https://arxiv.org/abs/1610.02132, with 127 levels and the largest value in place of the norm).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.every_value import EveryValue
from shared.codecs.scales import Scales
from shared.weights import Vector, Weights

_LEVELS: Final = 127


class Int8(EveryValue):
    """Scales each tensor by its largest magnitude."""

    name = "int8"
    dtype = "I8"
    scaling: Scales = Scales(per_channel=False)

    def scales(self, vector: Vector, architecture: Architecture) -> Weights:
        """Divide the largest magnitude of each tensor by 127."""
        largest = np.zeros(self.scale_count(architecture), "<f4")
        for where, piece in self.scaling.columns(vector, architecture):
            np.maximum(largest[where], np.abs(piece).max(0), out=largest[where])
        return largest / np.float32(_LEVELS)

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        # Where the scale is zero, so is the value, or too small to have a scale.
        if not along.all():
            along = np.where(along == 0, np.float32(np.inf), along)
        steps = values / along
        steps += rng.random(len(values), np.float32)
        np.floor(steps, out=steps)
        return np.clip(steps, -_LEVELS, _LEVELS, out=steps).astype(np.int8)

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """See :class:`EveryValue`."""
        # A hostile scale may make a product infinite; that is found where values are checked.
        with np.errstate(over="ignore"):
            return np.multiply(numbers, along, dtype=np.float32)
