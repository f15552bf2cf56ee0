"""Which of a device's examples are not trained on, but score the global model."""

import hashlib
from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.training import Examples

FEWEST_HELD_OUT: Final = 8
"""Examples below which none is held out: their score would say nothing, and training needs them."""


def count_trained_on(keys: Collection[int], share: float) -> int:
    """Count those of the examples that a person has labelled which are trained on.

    Parameters
    ----------
    keys
        Of all that a person has labelled, as a device gives them.
    share
        Share of them that is held out.
    """
    if not share or len(keys) < FEWEST_HELD_OUT:
        return len(keys)
    return sum(_fraction(key) >= share for key in keys)


def hold_out(examples: Examples, share: float) -> tuple[Examples, Examples]:
    """Divide examples into those to train on and those to score with.

    Which is which follows from each example's key alone, so that one which was trained on is not
    used to score when others come or go. What no person has labelled is only trained on. Where
    nothing comes or goes, as in a folder of clips, each label has its share held out.
    """
    everything, keys = np.arange(len(examples)), examples.numbers
    person = keys >= 0
    if not share or person.sum() < FEWEST_HELD_OUT:
        return examples, examples.take(everything[:0])
    fractions = np.array([_fraction(key) for key in keys.tolist()])
    if examples.keys is None:
        held_out = _lowest_of_each(fractions, examples.labels, share)
    else:
        held_out = person & (fractions < share)
    return examples.take(everything[~held_out]), examples.take(everything[held_out])


def _lowest_of_each(
    fractions: NDArray[np.float64], labels: NDArray[np.int32], share: float
) -> NDArray[np.bool_]:
    """Choose a share of each label's examples: those with the lowest fractions."""
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        lowest = own[np.argsort(fractions[own])]
        chosen[lowest[: int(share * len(own) + 0.5)]] = True
    return chosen


def _fraction(key: int) -> float:
    """Give a number from 0 to 1 that depends on nothing but a key."""
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:4], "big") / (1 << 32)
