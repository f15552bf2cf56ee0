"""The arithmetic that strategies share: long vectors, taken piece by piece.

Everything is elementwise, or sums in a fixed order, so that neither the size of the pieces nor the
order in which updates arrived shows in the result, not even in its last bit.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import TrainingError
from shared.weights import Vector, Weights, pieces

BLOCK: Final = 1 << 20
"""Values of all updates together that robust strategies hold at a time: 4 MB."""

LARGEST: Final = 1e15
"""Values beyond this are not of a training that went well, and their squares could overflow."""


def blocks(vectors: Sequence[Vector]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Read several vectors side by side.

    Parameters
    ----------
    vectors
        At least one; all of the same length.

    Yields
    ------
    where : slice
        The indices read.
    block : numpy.ndarray
        Shape ``(len(vectors), k)``, float32; the same memory each time, free to be written to.
        ``k`` shrinks as the number of vectors grows, so the memory does not grow with it.
    """
    size = max(1, BLOCK // len(vectors))
    memory = np.empty((len(vectors), min(size, len(vectors[0]))), np.float32)
    for where in pieces(len(vectors[0]), size):
        block = memory[:, : where.stop - where.start]
        for row, vector in zip(block, vectors, strict=True):
            row[:] = vector[where]
        yield where, block


def writable(vector: Vector, kept: Vector) -> Weights:
    """Give a vector that may be written to without a change to one that is to be kept.

    Parameters
    ----------
    vector
        Read whole if it lies on the disk.
    kept
        What stays as it is.

    Returns
    -------
    Weights
        The vector itself, or a copy where it has memory in common with the other.
    """
    values = np.asarray(vector)
    shared = isinstance(kept, np.ndarray) and np.may_share_memory(values, kept)
    return values.copy() if shared else values


class WeightedSum:
    """A sum of vectors in one pass, in one vector's memory.

    Attributes
    ----------
    total
        Sum of the weights so far.
    """

    def __init__(self) -> None:
        self.total = 0
        self._sum = np.empty(0, np.float32)

    def add(self, vector: Vector, weight: int = 1) -> None:
        """Add a vector, multiplied by its weight; all must have the same length."""
        if not self.total:
            self._sum = np.zeros(len(vector), np.float32)
        self.total += weight
        for where in pieces(len(vector)):
            self._sum[where] += vector[where] * np.float32(weight)

    def divided(self, by: int) -> Weights:
        """Give the sum divided by a number, and forget it: shape ``(parameters,)``, float32."""
        result, self._sum, self.total = self._sum, np.empty(0, np.float32), 0
        result /= np.float32(by)
        return result


def check_bounded(vector: Weights, what: str) -> None:
    """Raise :class:`TrainingError` if a value is NaN, infinite, or larger than :data:`LARGEST`."""
    for where in pieces(len(vector)):
        # Not `> LARGEST`, which NaN would slip through.
        if not np.abs(vector[where]).max() <= LARGEST:
            raise TrainingError(
                f"{what} holds values that are not finite or larger than {LARGEST:g}.",
                "Lower the learning rates; if all but one client's updates are sound (the round's "
                "record has their norms), look at that client.",
            )
