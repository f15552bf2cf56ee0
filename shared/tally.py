"""What clients count in a secure round, in the same ring as their updates.

A count may be larger than a ring holds. So each is written in digits, small enough that those of
all clients add up without an overflow; the sum of each digit is read, and then what they stand for.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.ring import Ring
from shared.secure.masks import Numbers

_MOST_LOSS: Final = 64
"""A client's mean loss counts up to this."""

_LOSS_STEPS: Final = 1024
"""Losses are told in steps of 1/1024."""

_AROUND: Final = 8
"""Octaves by which a client may say that its values are larger or smaller than was announced."""

_OPINION_BITS: Final = 4
_MOST_OPINION: Final = 2 * _AROUND - 1

_COUNT_BITS: Final = 20
_MOST_IN_A_CELL: Final = (1 << _COUNT_BITS) - 1
"""Of a confusion matrix; larger counts are cut off."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one client counts, or many together.

    Attributes
    ----------
    weight
        Examples that count: 1 to ``heaviest`` of each client.
    loss
        Mean training loss over them.
    confusion
        What the round's global weights make of examples held out: shape ``(labels, labels)``,
        int64; rows are true labels, columns predicted ones.
    octaves
        For each tensor, the power of two that the values reach; of many clients their mean,
        rounded up.
    """

    weight: int
    loss: float
    confusion: NDArray[np.int64]
    octaves: tuple[int, ...]

    def numbers(self, ring: Ring) -> Numbers:
        """Write one client's, for the ring: shape ``(tally_size,)``, uint32."""
        loss = round(min(max(self.loss, 0.0), _MOST_LOSS) * _LOSS_STEPS) * self.weight
        cells = np.clip(self.confusion, 0, _MOST_IN_A_CELL).ravel()
        opinions = np.subtract(self.octaves, ring.octaves) + _AROUND
        opinions = np.clip(opinions, 0, _MOST_OPINION)
        values = np.concatenate([[self.weight, loss], cells, opinions])
        owner, shift, digit = _digits(ring, len(self.confusion))
        return (values[owner] >> shift & digit).astype(np.uint32)

    @classmethod
    def read(cls, sums: Numbers, clients: int, ring: Ring, labels: int) -> Self:
        """Read the sum of so many clients' numbers.

        They are added under masks, so one who lies adds what it likes. What is read of each count
        is no more than honest clients could say together, and no less.

        Parameters
        ----------
        sums
            Shape ``(tally_size,)``, reduced modulo ``2 ** ring.bits``.
        clients
            How many added theirs, at least one.
        ring
            The round's.
        labels
            How many the task has.
        """
        owner, shift, _ = _digits(ring, labels)
        values = np.zeros(owner[-1] + 1, np.int64)
        np.add.at(values, owner, sums.astype(np.int64) << shift)
        cells, opinions = np.split(values[2:], [labels * labels])
        weight = min(max(int(values[0]), clients), clients * ring.heaviest)
        loss = min(int(values[1]), _MOST_LOSS * _LOSS_STEPS * weight)
        cells = np.minimum(cells, clients * _MOST_IN_A_CELL)
        mean = np.minimum(-(-opinions // clients), _MOST_OPINION) - _AROUND
        return cls(
            weight,
            loss / _LOSS_STEPS / weight,
            cells.reshape(labels, labels),
            tuple((mean + ring.octaves).tolist()),
        )


def tally_size(ring: Ring, labels: int) -> int:
    """Count the numbers of a tally."""
    return len(_digits(ring, labels)[0])


def ring_size(ring: Ring, architecture: Architecture) -> int:
    """Count the numbers that a client adds: those of its update, and then those of its tally.

    With noise there is no tally: it would tell what the noise hides.
    """
    tally = 0 if ring.noise else tally_size(ring, architecture.labels)
    return architecture.parameters + tally


def _digits(ring: Ring, labels: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Say how a tally is written.

    Returns
    -------
    owner : numpy.ndarray
        Which value each digit belongs to.
    shift : numpy.ndarray
        How many bits of the value lie below it.
    digit : int
        The largest digit: that of all clients together is no overflow.
    """
    bits = (ring.mask // ring.clients + 1).bit_length() - 1
    weight = ring.heaviest.bit_length()
    loss = weight + (_MOST_LOSS * _LOSS_STEPS).bit_length()
    widths = [weight, loss, *[_COUNT_BITS] * labels**2, *[_OPINION_BITS] * len(ring.octaves)]
    digits = -(-np.array(widths) // bits)
    owner = np.repeat(np.arange(len(widths)), digits)
    shift = np.concatenate([np.arange(count) * bits for count in digits])
    return owner, shift, (1 << bits) - 1
