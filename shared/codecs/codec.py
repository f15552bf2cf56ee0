"""The interface of codecs, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import TrainingError, WeightsError
from shared.storage.tensor_file import DTYPES, TensorFile
from shared.weights import StoredVector, Vector, Weights, pieces

VALUES: Final = "values"
"""Name of the array that holds the values themselves."""

SCALES: Final = "scales"
"""Name of the array that holds what the values are to be multiplied by."""


class Form(NamedTuple):
    """What an array of an encoded vector looks like.

    Attributes
    ----------
    dtype
        As safetensors name it, a key of :data:`shared.storage.tensor_file.DTYPES`.
    size
        Number of values; the array is flat.
    """

    dtype: str
    size: int


class Arrays(Protocol):
    """The arrays of an encoded vector, wherever they are."""

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Give the values from ``start`` to ``stop`` of the array of this name."""
        ...


@dataclass(frozen=True, slots=True)
class InMemory:
    """Arrays as :meth:`Codec.encode` gave them."""

    arrays: Mapping[str, NDArray[Any]]

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """See :class:`Arrays`."""
        return self.arrays[name][start:stop]


@dataclass(frozen=True, slots=True)
class InFile:
    """Arrays in a safetensors file, under names with a prefix."""

    file: TensorFile
    prefix: str

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """See :class:`Arrays`; raise :class:`WeightsError` if the file has been changed."""
        full = self.prefix + name
        out = np.empty(stop - start, DTYPES[self.file.tensors[full].dtype])
        self.file.read_into(full, out, start)
        return out


class Codec(ABC):
    """Writes a vector as a few flat arrays, and reads it back from them.

    Codecs have no state: one serves any number of vectors.
    """

    name: str
    """What messages and settings call it."""

    lossless: ClassVar[bool] = False
    """Whether every value comes back as it was, so that error feedback has nothing to do."""

    @abstractmethod
    def layout(self, architecture: Architecture) -> dict[str, Form]:
        """List the arrays that every vector of this architecture is written as."""

    @abstractmethod
    def encode(
        self, vector: Weights, architecture: Architecture, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """Write a vector.

        Parameters
        ----------
        vector
            Shape ``(architecture.parameters,)``, float32, contiguous.
        architecture
            What it belongs to.
        rng
            Decides where rounding goes up and where down.

        Returns
        -------
        dict
            The arrays of :meth:`layout`; they may share the vector's memory. The same vector and
            state of ``rng`` give the same bytes on every machine.

        Raises
        ------
        TrainingError
            If a value is not finite.
        """

    def recalled(self, residual: Vector, delta: Weights) -> Vector:
        """Give what an update adds of that which the one before it left out: all of it.

        Parameters
        ----------
        residual
            What was left out: shape ``(parameters,)``.
        delta
            The difference that this round has made to the weights, of the same shape.
        """
        del delta
        return residual

    @abstractmethod
    def decode(self, arrays: Arrays, architecture: Architecture) -> Vector:
        """Read a vector, piece by piece, from arrays that have this codec's layout.

        Nothing besides their layout is believed: what is wrong is found here or when the piece it
        concerns is read. Memory beyond the pieces asked for is a few hundred kilobytes at most.

        Raises
        ------
        WeightsError
            If the arrays are not an encoded vector; so does reading from the result. Values that
            are not finite pass.
        """


class DecodedVector(StoredVector):
    """A vector that is computed piece by piece when it is read."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        """Return the number of values."""
        return self._length

    def __getitem__(self, where: slice, /) -> Weights:
        """Compute one contiguous piece: shape ``(k,)``, float32."""
        start, stop, step = where.indices(self._length)
        if step != 1:
            raise ValueError("an encoded vector is read in contiguous pieces")
        out = np.empty(max(0, stop - start), np.float32)
        for piece in pieces(len(out)):
            self.fill(out[piece], start + piece.start)
        return out

    @abstractmethod
    def fill(self, out: Weights, start: int) -> None:
        """Compute the ``len(out)`` values from ``start`` on: a piece at most, as they are cut."""


def check_vector(vector: Weights, architecture: Architecture) -> None:
    """Raise unless a vector can be encoded.

    Raises
    ------
    TrainingError
        If a value is not finite.
    ValueError
        If it is not a vector of this architecture: the caller's mistake.
    """
    if vector.shape != (architecture.parameters,) or vector.dtype != np.float32:
        raise ValueError(f"a vector of {architecture.name} has {architecture.parameters} float32")
    for piece in pieces(len(vector)):
        if not np.isfinite(vector[piece]).all():
            raise TrainingError(
                "An update holds values that are not finite.", "Try a smaller learning rate."
            )


def damaged(why: str) -> WeightsError:
    """Make the error about an update whose arrays cannot be what a codec wrote."""
    return WeightsError(f"An update is damaged: {why}.")
