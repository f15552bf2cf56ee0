"""Noise that a client adds to its own numbers, so that nobody sees a sum without noise.

It is discrete Gaussian (Canonne, Kamath & Steinke, 2020: https://arxiv.org/abs/2004.00010): the
integer x has a probability proportional to ``exp(-x**2 / (2 * deviation**2))``. What the sum of
several tells is bounded by Kairouz, Liu & Steinke (2021: https://arxiv.org/abs/2102.06387); the
aggregator says how much there has to be (``aggregator/strategies/shared_noise.py``).
"""

import math
import secrets
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codecs.ring import Ring
from shared.secure.masks import Numbers
from shared.secure.sharing import Draw

_REACH: Final = 16
"""Deviations beyond which nothing is drawn: there lies less than 2 ** -180 of it."""

_WORD: Final = 64
_MORE: Final = 128
"""Bits of a probability that are looked at first, and those that decide where they do not."""


class _Table(NamedTuple):
    """Where each value begins, if all probabilities lie side by side from 0 to 2 ** 192.

    Attributes
    ----------
    begins
        Of each value but the first, in order; Python integers.
    words
        Their highest 64 bits: shape ``(values - 1,)``, uint64.
    lowest
        The first value.
    """

    begins: list[int]
    words: NDArray[np.uint64]
    lowest: int


def with_noise(
    numbers: Numbers,
    ring: Ring,
    survivors: int,
    *,
    first: int = 0,
    draw: Draw = secrets.token_bytes,
) -> Numbers:
    """Add a client's share of a private round's noise.

    Parameters
    ----------
    numbers
        What it adds to the sum: shape ``(ring_size,)``, uint32.
    ring
        The round's, with noise.
    survivors
        How many clients' numbers are in the sum at least: their shares together are enough.
    first
        Where what is trained begins; what lies before it does not change.
    draw
        Gives random bytes: the system's. Others are for tests.

    Returns
    -------
    numpy.ndarray
        The numbers with noise, modulo ``2 ** ring.bits``; a new array.
    """
    deviation = ring.noise * ring.levels / math.sqrt(survivors)
    noisy = numbers.copy()
    noisy[first:] += discrete_gaussian(len(numbers) - first, deviation, draw).astype(np.uint32)
    noisy &= np.uint32(ring.mask)
    return noisy


def discrete_gaussian(
    count: int, deviation: float, draw: Draw = secrets.token_bytes
) -> NDArray[np.int64]:
    """Draw independent values, each from 192 random bits.

    Parameters
    ----------
    count
        How many.
    deviation
        Of the Gaussian that the probabilities follow.
    draw
        Gives random bytes.

    Returns
    -------
    numpy.ndarray
        Shape ``(count,)``, int64.
    """
    table = _table(deviation)
    words = np.frombuffer(draw(count * _WORD // 8), "<u8")
    found = np.searchsorted(table.words, words, side="left")
    # Only a word that a value begins in is not decided by itself.
    inside = np.minimum(found, len(table.words) - 1)
    for place in np.flatnonzero(table.words[inside] == words):
        exact = (int(words[place]) << _MORE) + int.from_bytes(draw(_MORE // 8))
        while found[place] < len(table.begins) and table.begins[found[place]] <= exact:
            found[place] += 1
    return found.astype(np.int64) + table.lowest


@lru_cache(maxsize=4)
def _table(deviation: float) -> _Table:
    reach = math.ceil(_REACH * deviation)
    unit = 1 << (2 * (_WORD + _MORE))
    with localcontext(prec=150):
        ratio = int((-1 / (2 * Decimal(deviation) ** 2)).exp() * unit)
    # exp(-x**2 / 2s**2) from that of x - 1: times the ratio to the power 2x - 1.
    weights, power = [unit], ratio
    for _ in range(reach):
        weights.append(weights[-1] * power // unit)
        power = power * ratio // unit * ratio // unit
    whole = 2 * sum(weights) - unit
    begins, below = [], 0
    for value in range(-reach, reach):
        below += weights[abs(value)]
        begins.append((below << (_WORD + _MORE)) // whole)
    words = np.array([begin >> _MORE for begin in begins], np.uint64)
    return _Table(begins, words, -reach)
