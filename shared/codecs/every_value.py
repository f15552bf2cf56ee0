"""Codecs that write every value: what float32, float16, int8 and sign have in common."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import (
    SCALES,
    VALUES,
    Arrays,
    Codec,
    DecodedVector,
    Form,
    check_vector,
)
from shared.codecs.scales import Scales, read_scales
from shared.storage.tensor_file import DTYPES
from shared.weights import Vector, Weights, pieces


class EveryValue(Codec):
    """Writes every value as a number of one type, which may be multiplied by a scale.

    The arrays are ``values`` in the order of the flat vector and, where there are any, ``scales``.
    """

    dtype: ClassVar[str]
    """Type of the numbers, as safetensors name it."""

    array: ClassVar[str] = VALUES
    """Name of the array that holds the numbers."""

    scaling: Scales | None = None
    """What has a scale of its own; ``None``: numbers are the values themselves."""

    def layout(self, architecture: Architecture) -> dict[str, Form]:
        """See :class:`Codec`."""
        return self.layout_of(architecture, architecture.parameters)

    def layout_of(self, architecture: Architecture, values: int) -> dict[str, Form]:
        """List the arrays for so many values of a vector."""
        layout = {self.array: Form(self.dtype, self.packed_size(values))}
        if scales := self.scale_count(architecture):
            layout[SCALES] = Form("F32", scales)
        return layout

    def encode(
        self, vector: Weights, architecture: Architecture, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """See :class:`Codec`."""
        check_vector(vector, architecture)
        scales = self.scales(vector, architecture)
        numbers = np.empty(len(vector), DTYPES[self.dtype])
        for piece in pieces(len(vector)):
            along = self.along(scales, architecture, piece)
            numbers[piece] = self.write(vector[piece], along, rng)
        packed = {self.array: self.packed(numbers)}
        return packed | {SCALES: scales} if len(scales) else packed

    def decode(self, arrays: Arrays, architecture: Architecture) -> Vector:
        """See :class:`Codec`."""
        return _EveryValue(self, arrays, architecture)

    def scale_count(self, architecture: Architecture) -> int:
        """Count the scales of a model's vector."""
        return self.scaling.count(architecture) if self.scaling else 0

    def scales(self, vector: Vector, architecture: Architecture) -> Weights:
        """Find the scales that fit a vector: shape ``(scale_count,)``, float32."""
        del vector, architecture
        return np.empty(0, np.float32)

    def along(self, scales: Weights, architecture: Architecture, where: slice) -> Weights:
        """Give the scale of each value of a piece of the flat vector, shape ``(k,)``."""
        if self.scaling:
            return self.scaling.along(scales, architecture, where)
        return np.broadcast_to(np.float32(1), where.stop - where.start)

    def packed_size(self, values: int) -> int:
        """Count the entries of the array that holds so many numbers."""
        return values

    def packed(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Lay numbers out as they are sent."""
        return numbers

    def unpacked(self, arrays: Arrays, start: int, stop: int) -> NDArray[Any]:
        """Read the numbers from ``start`` to ``stop``."""
        return arrays.read(self.array, start, stop)

    @abstractmethod
    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """Turn values into numbers, given the scale of each."""

    @abstractmethod
    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """Turn numbers back into values, given the scale of each."""

    def checked_scales(self, arrays: Arrays, architecture: Architecture) -> Weights:
        """Read the scales; raise :class:`WeightsError` if one is negative or not finite."""
        count = self.scale_count(architecture)
        return read_scales(arrays, count) if count else np.empty(0, np.float32)


class _EveryValue(DecodedVector):
    """A vector of which every value was written."""

    def __init__(self, codec: EveryValue, arrays: Arrays, architecture: Architecture) -> None:
        super().__init__(architecture.parameters)
        self._codec = codec
        self._arrays = arrays
        self._architecture = architecture
        self._scales = codec.checked_scales(arrays, architecture)

    def fill(self, out: Weights, start: int) -> None:
        stop = start + len(out)
        along = self._codec.along(self._scales, self._architecture, slice(start, stop))
        out[:] = self._codec.read(self._codec.unpacked(self._arrays, start, stop), along)
