"""How often a person is in which mood: what is believed of the counts before anything is heard."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

CONCENTRATIONS: Final = (0.2, 5.0)
"""People are in few moods, or in many alike: two Dirichlet priors of the emotions' shares."""


def log_prior(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the log probability of utterances with such counts of emotions, in any one order.

    The mean of two Dirichlet-multinomial distributions, of concentrations
    :data:`CONCENTRATIONS`.

    Parameters
    ----------
    counts
        Shape ``(n, labels)``.
    """
    labels, total = counts.shape[1], counts.sum(axis=1)
    each = []
    for own in CONCENTRATIONS:
        rising = _log_rising(own, _bits(counts))[counts].sum(axis=1)
        each.append(rising - _log_rising(labels * own, _bits(total))[total])
    found: NDArray[np.float64] = np.logaddexp.reduce(each) - np.log(len(each))
    return found


def _bits(counts: NDArray[np.int64]) -> int:
    return int(counts.max(initial=0)).bit_length()


@cache
def _log_rising(start: float, bits: int) -> NDArray[np.float64]:
    """Give log(start (start + 1) ...), of 0 to 2 ** ``bits`` factors."""
    return np.concatenate([[0], np.cumsum(np.log(start + np.arange(2**bits)))])
