"""Every value as a whole number in a ring: sums of clients that are exact, in any order.

Numbers are added modulo ``2 ** bits``, so that a random number added to each of them hides it
(Bonawitz et al., 2017: https://doi.org/10.1145/3133956.3133982), and the sum alone is read. What
a number means is announced before the round; it cannot depend on a client's own values. So values
beyond the announced range are cut off, and the client's residual takes what is missing.

A client's weight is in its numbers: they are ``weight / heaviest`` of its update. So a heavy
client needs no more bits than a light one, and none can weigh more than ``heaviest``.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.every_value import EveryValue
from shared.codecs.scales import Scales
from shared.errors import SettingsError
from shared.weights import StoredVector, Vector, Weights

_TENSORS: Final = Scales(per_channel=False)

_BEYOND: Final = 8
"""Deviations of noise that fit into a ring: one value in 10 ** 15 is beyond them."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What the numbers of a round mean; the same for all its clients.

    Attributes
    ----------
    bits
        Numbers are added modulo ``2 ** bits``; 8 to 16.
    clients
        How many add theirs, at most.
    heaviest
        Examples of a client that count, at most.
    octaves
        For each tensor, in the manifest's order, the power of two that a value times its client's
        share of ``heaviest`` may reach.
    noise
        Deviation of the noise that is in the sum of the fewest clients that a sum may be of, as a
        multiple of the largest number of one; 0: there is none. With it all clients weigh the same,
        and nothing but their updates is in the sum.

    Raises
    ------
    SettingsError
        If the sum of so many clients does not fit.
    """

    bits: int
    clients: int
    heaviest: int
    octaves: tuple[int, ...]
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise SettingsError(
                f"A ring of {self.bits} bits would overflow: the sum of {self.clients} clients "
                f"{'with their noise ' if self.noise else ''}does not fit.",
                "Give more --ring-bits, up to 16, or let fewer clients take part in a round.",
            )

    @property
    def levels(self) -> int:
        """The largest magnitude of a client's number: that of all of them is no overflow.

        Nor is it with their noise, of which there may be twice the variance: sums are of more than
        half of the clients.
        """
        return int((self.half - 1) // (self.clients + _BEYOND * math.sqrt(2) * self.noise))

    @property
    def half(self) -> int:
        """From here on a number stands for a negative one."""
        return 1 << (self.bits - 1)

    @property
    def mask(self) -> int:
        """The largest number."""
        return (1 << self.bits) - 1

    @property
    def steps(self) -> Weights:
        """What a number of each tensor is multiplied by: shape ``(tensors,)``, float32."""
        return np.ldexp(np.float32(1), self.octaves).astype(np.float32) / np.float32(self.levels)

    def weight(self, examples: int) -> int:
        """Say how much a client with so many examples weighs."""
        return min(examples, self.heaviest)

    def signed(self, numbers: NDArray[Any]) -> NDArray[np.int64]:
        """Read numbers as what they stand for, from ``-half`` to ``half - 1``."""
        return (numbers.astype(np.int64) + self.half & self.mask) - self.half


class RingCodec(EveryValue):
    """Writes one client's values in a round's ring, rounded up or down at random.

    Parameters
    ----------
    ring
        The round's.
    examples
        How many the client trained on.
    """

    name = "ring"
    dtype = "U16"

    def __init__(self, ring: Ring, examples: int) -> None:
        self.ring = ring
        self.share = ring.weight(examples) / ring.heaviest
        self._steps = ring.steps / np.float32(self.share)

    def along(self, scales: Weights, architecture: Architecture, where: slice) -> Weights:
        """See :class:`EveryValue`; the scales are the round's."""
        del scales
        return _TENSORS.along(self._steps, architecture, where)

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        # A huge value may become infinite; it is cut off all the same.
        with np.errstate(over="ignore"):
            steps = values / along
        steps += rng.random(len(values), np.float32)
        np.floor(steps, out=steps)
        np.clip(steps, -self.ring.levels, self.ring.levels, out=steps)
        return (steps.astype(np.int32) & self.ring.mask).astype(np.uint16)

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """See :class:`EveryValue`."""
        return np.multiply(self.ring.signed(numbers), along, dtype=np.float32)

    def recalled(self, residual: Vector, delta: Weights) -> Vector:
        """See :class:`Codec`: no more than this round has changed."""
        return Recalled(residual, delta)


class Recalled(StoredVector):
    """What a client's last update left out, no value of it larger than what this round has changed.

    A round may ask all clients for next to nothing, as by a learning rate that is. Most then add
    nothing, and a client that had not sent its last update whole would be alone in the sum with
    what was left. So of that it adds no more than it has learned now, value by value.

    Parameters
    ----------
    residual
        What was left out: shape ``(parameters,)``.
    delta
        The difference that this round has made to the weights, of the same shape. It is read with
        each piece.
    """

    __slots__ = ("_delta", "_residual")

    def __init__(self, residual: Vector, delta: Weights) -> None:
        self._residual = residual
        self._delta = delta

    def __len__(self) -> int:
        """See :class:`StoredVector`."""
        return len(self._delta)

    def __getitem__(self, where: slice, /) -> Weights:
        """See :class:`StoredVector`."""
        most = np.abs(self._delta[where])
        return np.clip(self._residual[where], -most, most)
