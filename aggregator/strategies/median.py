"""Median: Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates.

Yin et al., 2018, https://arxiv.org/abs/1803.01498, Definition 1.
"""

from collections.abc import Iterable

import numpy as np

from aggregator.strategies.arithmetic import blocks
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.update import Update
from shared.weights import Weights


class Median(Strategy):
    """Of each weight, take the median of the updates' values.

    All updates count the same: the number of examples is a client's own claim. Of an even number
    the mean of the middle two is taken.

    Parameters
    ----------
    server_learning_rate
        What the direction is multiplied by.
    """

    name = "median"
    random_access = True

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Take the median of each weight."""
        deltas = [update.delta for update in updates]
        upper = len(deltas) // 2
        lower = (len(deltas) - 1) // 2
        direction = np.empty(len(deltas[0]), np.float32)
        for where, block in blocks(deltas):
            block.sort(axis=0)
            # Halved before they are added, or two large ones overflow. 0 is added because -0 and
            # 0 sort as equals: without it the sign would depend on the order of the updates.
            direction[where] = block[lower] * 0.5 + block[upper] * 0.5 + 0.0
        return direction
