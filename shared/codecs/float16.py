"""Every value as IEEE 754 binary16: 2 bytes a value."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.codecs.every_value import EveryValue
from shared.weights import Weights

_LARGEST: Final = np.float32(65504)
"""The largest finite number of the type; beyond it values are cut off, not made infinite."""


class Float16(EveryValue):
    """Rounds values to the nearest number with 11 significant bits; exact down to 6e-8."""

    name = "float16"
    dtype = "F16"

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        del along, rng
        return np.clip(values, -_LARGEST, _LARGEST).astype("<f2")

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """See :class:`EveryValue`."""
        del along
        # A NaN is found where values are checked, and needs no warning here.
        with np.errstate(invalid="ignore"):
            return numbers.astype(np.float32)
