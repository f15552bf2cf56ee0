"""The running average of the rounds' global models.

Polyak & Juditsky, 1992, https://doi.org/10.1137/0330046; here with exponential decay.
"""

import numpy as np

from shared.weights import Vector, Weights, pieces


def averaged(average: Vector, weights: Vector, decay: float) -> Weights:
    """Take a round's weights into the running average: ``average + (1 - decay) * change``.

    Parameters
    ----------
    average
        The average so far; after the first round, that round's weights.
    weights
        The round's.
    decay
        In [0, 1).

    Returns
    -------
    Weights
        Shape ``(parameters,)``.
    """
    result = np.empty(len(average), np.float32)
    for where in pieces(len(average)):
        before = average[where]
        change = weights[where] - before
        change *= np.float32(1 - decay)
        np.add(before, change, out=result[where])
    return result
