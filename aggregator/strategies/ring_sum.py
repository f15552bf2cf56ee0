"""What the sum of a secure round says, and what the numbers of the next one should mean."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.ring import Ring
from shared.secure.masks import Numbers, reduced
from shared.tally import Tally, ring_size
from shared.weights import Vector, Weights, pieces

_EXTREME: Final = 60
"""Octaves beyond which nothing is announced: float32 still computes with their steps."""

_SMALLER: Final = 2
"""Octaves by which an update is expected to be smaller than the weights it changes."""


@dataclass(frozen=True, slots=True)
class RingSum:
    """What the sum says.

    Attributes
    ----------
    direction
        The mean of the updates, weighted by examples: shape ``(parameters,)``, float32.
    weight
        Examples that count, of all clients together; of a private sum what it is divided by.
    loss
        Mean training loss over them; NaN of a private sum.
    confusion
        The clients' counts together: shape ``(labels, labels)``, int64; none of a private sum.
    octaves
        What to announce for the next round.
    """

    direction: Weights
    weight: int
    loss: float
    confusion: NDArray[np.int64]
    octaves: tuple[int, ...]


def add(total: Numbers, numbers: Numbers, ring: Ring) -> None:
    """Add numbers to a sum, in place; the order does not matter."""
    total += numbers
    reduced(total, ring.bits)


def read_sum(total: Numbers, clients: int, ring: Ring, architecture: Architecture) -> RingSum:
    """Read the sum of so many clients' numbers.

    Parameters
    ----------
    total
        Shape ``(ring_size,)``, reduced modulo ``2 ** ring.bits``.
    clients
        How many added theirs: 1 to ``ring.clients``.
    ring
        The round's.
    architecture
        The model.

    Raises
    ------
    ValueError
        If it cannot be such a sum: the caller's mistake.
    """
    if len(total) != ring_size(ring, architecture) or not 1 <= clients <= ring.clients:
        raise ValueError(f"{len(total)} numbers of {clients} clients are no sum of this round")
    values, counted = np.split(total, [architecture.parameters])
    tally = Tally.read(counted, clients, ring, architecture.labels)
    heavy = ring.heaviest / max(1, tally.weight)
    direction = _read(values, ring, architecture, heavy)
    octaves = tuple(min(max(octave, -_EXTREME), _EXTREME) for octave in tally.octaves)
    return RingSum(direction, tally.weight, tally.loss, tally.confusion, octaves)


def read_private_sum(
    total: Numbers, clients: int, ring: Ring, architecture: Architecture
) -> RingSum:
    """Read the sum of clients' numbers with their noise, of which nothing else is known.

    Parameters
    ----------
    total, ring, architecture
        As in :func:`read_sum`; the ring has noise.
    clients
        What the sum is divided by, whoever added to it.
    """
    labels = architecture.labels
    return RingSum(
        _read(total, ring, architecture, 1 / clients),
        weight=clients,
        loss=math.nan,
        confusion=np.zeros((labels, labels), np.int64),
        octaves=ring.octaves,
    )


def _read(values: Numbers, ring: Ring, architecture: Architecture, times: float) -> Weights:
    """Read numbers as weights, multiplied by something."""
    direction = np.empty(len(values), np.float32)
    for spec, step in zip(architecture.manifest, ring.steps, strict=True):
        factor = float(step) * times
        for piece in pieces(spec.where):
            direction[piece] = ring.signed(values[piece]) * factor
    return direction


def first_octaves(weights: Vector, architecture: Architecture) -> tuple[int, ...]:
    """Guess from the model what the numbers of the first round should mean.

    A layer's updates are expected to reach a quarter of its largest weight. What clients then say
    of theirs corrects it.
    """
    largest: dict[str, float] = {}
    for spec in architecture.manifest:
        found = max(float(np.abs(weights[piece]).max()) for piece in pieces(spec.where))
        largest[spec.layer] = max(largest.get(spec.layer, 0.0), found)
    layers = [largest[spec.layer] or 1.0 for spec in architecture.manifest]
    octaves = (math.frexp(value)[1] - _SMALLER for value in layers)
    return tuple(min(max(octave, -_EXTREME), _EXTREME) for octave in octaves)
