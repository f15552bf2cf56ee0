"""Scales: what the numbers of a tensor, or of each of its channels, are multiplied by."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.architectures import Architecture, TensorSpec
from shared.codecs.codec import SCALES, Arrays, damaged
from shared.weights import PIECE, Vector, Weights


@dataclass(frozen=True, slots=True)
class Scales:
    """Says which scale belongs to which value of a flat vector.

    Attributes
    ----------
    per_channel
        Whether each output channel (filter, unit, gate: a kernel's last axis) has its own scale.
        Biases have one scale each in any case: a scale for a single value would save nothing.
    """

    per_channel: bool

    def count(self, architecture: Architecture) -> int:
        """Count the scales of a model's vector."""
        return sum(map(self._channels, architecture.manifest))

    def columns(
        self, vector: Vector, architecture: Architecture
    ) -> Iterator[tuple[slice, Weights]]:
        """Read a vector piece by piece, with the places of the scales that belong to each.

        Yields
        ------
        where : slice
            The indices of ``n`` scales.
        piece : numpy.ndarray
            Shape ``(k, n)``: values, each column's belonging to one scale.
        """
        first = 0
        for spec in architecture.manifest:
            channels = self._channels(spec)
            step = max(1, PIECE // channels) * channels
            for start in range(spec.offset, spec.where.stop, step):
                piece = vector[start : min(start + step, spec.where.stop)]
                yield slice(first, first + channels), piece.reshape(-1, channels)
            first += channels

    def along(self, scales: Weights, architecture: Architecture, where: slice) -> Weights:
        """Give the scale of each value of a piece of the flat vector, shape ``(k,)``."""
        out = np.empty(where.stop - where.start, np.float32)
        first = 0
        for spec in architecture.manifest:
            if spec.offset >= where.stop:
                break
            channels = self._channels(spec)
            start, stop = max(where.start, spec.offset), min(where.stop, spec.where.stop)
            if start < stop:
                target = out[start - where.start : stop - where.start]
                own = scales[first : first + channels]
                if channels == 1:
                    target[:] = own[0]
                else:
                    own = np.roll(own, -((start - spec.offset) % channels))
                    target[:] = np.tile(own, -(-len(target) // channels))[: len(target)]
            first += channels
        return out

    def _channels(self, spec: TensorSpec) -> int:
        return spec.shape[-1] if self.per_channel and len(spec.shape) > 1 else 1


def read_scales(arrays: Arrays, count: int) -> Weights:
    """Read scales; raise :class:`WeightsError` if one is negative or not finite."""
    scales: Weights = arrays.read(SCALES, 0, count)
    # Not `< 0`, which NaN would slip through; a sign would say the same thing in two ways.
    if not (np.isfinite(scales) & ~np.signbit(scales)).all():
        raise damaged("a scale is negative or not finite")
    return scales
