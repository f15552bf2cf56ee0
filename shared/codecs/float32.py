"""Every value as it is: 4 bytes a value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import VALUES, Arrays, InMemory, check_vector
from shared.codecs.every_value import EveryValue
from shared.weights import Vector, Weights


class Float32(EveryValue):
    """Writes values as they are."""

    name = "float32"
    dtype = "F32"
    lossless = True

    def encode(
        self, vector: Weights, architecture: Architecture, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """See :class:`shared.codecs.codec.Codec`; the vector's memory is not copied."""
        del rng
        check_vector(vector, architecture)
        return {VALUES: np.ascontiguousarray(vector, "<f4")}

    def decode(self, arrays: Arrays, architecture: Architecture) -> Vector:
        """See :class:`shared.codecs.codec.Codec`; what is in memory is the vector itself."""
        if isinstance(arrays, InMemory):
            return arrays.arrays[VALUES]
        return super().decode(arrays, architecture)

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        del along, rng
        return values

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """See :class:`EveryValue`."""
        del along
        return numbers
