"""Scores of global models, from what clients tell of their own held-out examples."""

import math
from collections.abc import Sequence

import numpy as np

from aggregator.ledger import Counts, UpdateRecord
from shared.metrics import Scores


def summed_confusion(updates: Sequence[UpdateRecord], most_examples: int) -> Counts | None:
    """Add up the clients' counts of the round's global model.

    Parameters
    ----------
    updates
        The round's.
    most_examples
        Utterances that a client's counts may hold; those of one that claims more are left out, so
        that no client drowns the others.

    Returns
    -------
    list of list of int or None
        A confusion matrix; ``None`` if no client told anything.
    """
    matrices = [np.array(u.confusion, np.int64) for u in updates if u.confusion is not None]
    told = [matrix for matrix in matrices if 0 < matrix.sum() <= most_examples]
    if not told:
        return None
    counts: Counts = np.sum(told, axis=0).tolist()
    return counts


def mean_training_loss(updates: Sequence[UpdateRecord]) -> float | None:
    """Average the clients' training losses, weighted by examples; ``None`` if none was told."""
    told = [(u.loss, u.examples) for u in updates if u.loss is not None and math.isfinite(u.loss)]
    if not told:
        return None
    return sum(loss * n for loss, n in told) / sum(n for _, n in told)


def scores_of(counts: Counts | None, names: Sequence[str]) -> Scores | None:
    """Score counts; ``None`` if there are none, or none of a label.

    A mean over the labels that happen to be there would be taken for one over all.
    """
    if counts is None or not all(map(any, counts)):
        return None
    return Scores.from_confusion(np.array(counts, np.int64), names)
