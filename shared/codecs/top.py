"""The largest values alone, each with its place (deep gradient compression, Lin et al., 2018).

The paper (https://arxiv.org/abs/1712.01887) sends the largest thousandth of each gradient, and
keeps the rest for the next; here it is the largest few hundredths of a whole update. With the
signs of these alone it is sparse ternary compression (Sattler et al., 2019:
https://arxiv.org/abs/1903.02891).

Places are written by blocks of 255 values of the flat vector: a byte that counts those kept in the
block, and for each of them a byte that says where in it they are. For one value in a hundred that
is 1.4 bytes a place, and any piece of the vector can be read without what lies before it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import (
    SCALES,
    Arrays,
    Codec,
    DecodedVector,
    Form,
    check_vector,
    damaged,
)
from shared.codecs.every_value import EveryValue
from shared.weights import Vector, Weights, pieces

_COUNTS: Final = "counts"
_POSITIONS: Final = "positions"

_BLOCK: Final = 255
"""Values of a block: as many as a byte can count, so that a block may be kept whole."""

_STRIDE: Final = 256
"""Blocks between two places that are remembered while a vector is read."""

_MAGNITUDE: Final = np.uint32(0x7FFFFFFF)
"""Bits of a float32 without its sign: as integers they are in the order of the magnitudes."""

Places = NDArray[np.int32]
"""Indices into the flat vector, ascending."""


class Top(Codec):
    """Keeps the values of the largest magnitude, and writes these as another codec would.

    The arrays are ``counts``, one a block, then ``positions`` and those of the other codec, one
    entry a kept value, in the order of the flat vector.

    Parameters
    ----------
    percent
        How many of a hundred values are kept.
    of
        Writes the kept values; its scales are those that fit them.
    """

    def __init__(self, percent: int, of: EveryValue) -> None:
        self.name = f"top{percent}-{of.name}"
        self._percent = percent
        self._of = of

    def kept(self, architecture: Architecture) -> int:
        """Count the values that are kept of a vector."""
        return -(-architecture.parameters * self._percent // 100)

    def layout(self, architecture: Architecture) -> dict[str, Form]:
        """See :class:`Codec`."""
        kept = self.kept(architecture)
        return {
            _COUNTS: Form("U8", _blocks(architecture.parameters)),
            _POSITIONS: Form("U8", kept),
            **self._of.layout_of(architecture, kept),
        }

    def encode(
        self, vector: Weights, architecture: Architecture, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """See :class:`Codec`."""
        check_vector(vector, architecture)
        places = largest(vector, self.kept(architecture))
        values = vector[places]
        block, position = np.divmod(places, np.int32(_BLOCK))
        counts = np.bincount(block, minlength=_blocks(len(vector)))
        scales = self._of.scales(_Kept(len(vector), places, values), architecture)
        numbers = []
        for piece in pieces(len(vector)):
            first, last = np.searchsorted(places, np.array((piece.start, piece.stop), places.dtype))
            along = self._of.along(scales, architecture, piece)[places[first:last] - piece.start]
            numbers.append(self._of.write(values[first:last], along, rng))
        arrays = {
            _COUNTS: counts.astype(np.uint8),
            _POSITIONS: position.astype(np.uint8),
            self._of.array: self._of.packed(np.concatenate(numbers)),
        }
        return arrays | ({SCALES: scales} if len(scales) else {})

    def decode(self, arrays: Arrays, architecture: Architecture) -> Vector:
        """See :class:`Codec`."""
        return _Sparse(self._of, arrays, architecture, self.kept(architecture))


class _Kept(DecodedVector):
    """A vector that is zero but for the kept values."""

    def __init__(self, length: int, places: Places, values: Weights) -> None:
        super().__init__(length)
        self._places = places
        self._values = values

    def fill(self, out: Weights, start: int) -> None:
        ends = np.array((start, start + len(out)), self._places.dtype)
        first, last = np.searchsorted(self._places, ends)
        out[:] = 0
        out[self._places[first:last] - start] = self._values[first:last]


class _Sparse(DecodedVector):
    """A vector of which the largest values were written, read from its arrays."""

    def __init__(
        self, of: EveryValue, arrays: Arrays, architecture: Architecture, kept: int
    ) -> None:
        super().__init__(architecture.parameters)
        self._of = of
        self._arrays = arrays
        self._architecture = architecture
        self._scales = of.checked_scales(arrays, architecture)
        counts = arrays.read(_COUNTS, 0, _blocks(len(self)))
        ends = np.add.reduceat(counts, np.arange(0, len(counts), _STRIDE), dtype=np.int64).cumsum()
        if ends[-1] != kept:
            raise damaged(f"its blocks count {ends[-1]} values, it has {kept}")
        self._starts = np.concatenate([[0], ends])

    def fill(self, out: Weights, start: int) -> None:
        out[:] = 0
        places, first = self._places(start, start + len(out))
        numbers = self._of.unpacked(self._arrays, first, first + len(places))
        where = slice(start, start + len(out))
        inside = places - start
        along = self._of.along(self._scales, self._architecture, where)[inside]
        out[inside] = self._of.read(numbers, along)

    def _places(self, start: int, stop: int) -> tuple[NDArray[np.int64], int]:
        """Read which values from ``start`` to ``stop`` were kept.

        Returns
        -------
        numpy.ndarray, int
            Their indices, and how many were kept before them.
        """
        near = start // _BLOCK // _STRIDE
        begin, first, last = near * _STRIDE, start // _BLOCK, _blocks(stop)
        counts = self._arrays.read(_COUNTS, begin, last)
        before = int(self._starts[near] + counts[: first - begin].sum(dtype=np.int64))
        counts = counts[first - begin :]
        kept = int(counts.sum(dtype=np.int64))
        positions = self._arrays.read(_POSITIONS, before, before + kept)
        places = np.repeat(np.arange(first, last) * _BLOCK, counts) + positions
        if (positions >= _BLOCK).any() or (np.diff(places) <= 0).any():
            raise damaged("the places of its values are not in order")
        if kept and places[-1] >= len(self):
            raise damaged("one of its values lies beyond the model's")
        low, high = np.searchsorted(places, np.array((start, stop), places.dtype))
        return places[low:high], before + int(low)


def largest(vector: Weights, count: int) -> Places:
    """Find the values of the largest magnitude; of equal ones, the first.

    The threshold is found in two passes that count the upper and the lower half of the magnitudes'
    bits, so no copy of the vector is sorted.

    Parameters
    ----------
    vector
        Finite values.
    count
        How many to find, at most ``len(vector)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(count,)``, int32, ascending.
    """
    upper = np.zeros(1 << 15, np.int64)
    for piece in pieces(len(vector)):
        upper += np.bincount(_bits(vector[piece]) >> 16, minlength=len(upper))
    high, left = _threshold(upper, count)
    lower = np.zeros(1 << 16, np.int64)
    for piece in pieces(len(vector)):
        bits = _bits(vector[piece])
        lower += np.bincount(bits[bits >> 16 == high] & 0xFFFF, minlength=len(lower))
    low, left = _threshold(lower, left)
    threshold = np.uint32(high << 16 | low)
    found = []
    for piece in pieces(len(vector)):
        bits = _bits(vector[piece])
        keep = bits > threshold
        equal = np.flatnonzero(bits == threshold)[:left]
        keep[equal] = True
        left -= len(equal)
        found.append((np.flatnonzero(keep) + piece.start).astype(np.int32))
    return np.concatenate(found)


def _bits(values: Weights) -> NDArray[np.uint32]:
    return values.view(np.uint32) & _MAGNITUDE


def _threshold(counts: NDArray[np.int64], wanted: int) -> tuple[int, int]:
    """Find the bin that holds the last of the wanted values, counted from the highest bin down.

    Returns
    -------
    int, int
        The bin, and how many of its values are wanted.
    """
    down = counts[::-1].cumsum()
    reached = int(np.searchsorted(down, wanted))
    above = int(down[reached - 1]) if reached else 0
    return len(counts) - 1 - reached, wanted - above


def _blocks(length: int) -> int:
    return -(-length // _BLOCK)
