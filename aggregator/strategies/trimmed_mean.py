"""Trimmed mean: Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates.

Yin et al., 2018, https://arxiv.org/abs/1803.01498, Definition 2.
"""

import math
from collections.abc import Iterable

import numpy as np

from aggregator.strategies.arithmetic import blocks
from aggregator.strategies.options import fraction
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.update import Update
from shared.errors import TrainingError
from shared.weights import Weights


class TrimmedMean(Strategy):
    """Of each weight, average the updates' values without the largest and the smallest.

    All updates count the same: the number of examples is a client's own claim.

    Parameters
    ----------
    server_learning_rate
        What the direction is multiplied by.
    trim
        Fraction of the updates left out at either end, in [0, 0.5), rounded up to whole updates:
        any fraction above 0 holds at least one dishonest client.
    """

    name = "trimmed-mean"
    random_access = True

    def __init__(self, *, server_learning_rate: float = 1.0, trim: float = 0.1) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.trim = fraction("trim", trim, below=0.5)

    def enough(self, arrived: int) -> bool:
        """Say whether the rule can combine so many updates."""
        return arrived > 2 * self._cut(arrived)

    def _cut(self, arrived: int) -> int:
        """Count the updates that are left out at either end."""
        # The small number keeps 0.29 * 100, which is 29 and a rounding error, from becoming 30.
        return math.ceil(self.trim * arrived - 1e-9)

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Average what trimming leaves of each weight.

        Raises
        ------
        TrainingError
            If it leaves nothing.
        """
        deltas = [update.delta for update in updates]
        cut = self._cut(len(deltas))
        left = len(deltas) - 2 * cut
        if left < 1:
            raise TrainingError(
                f"The strategy trimmed-mean leaves out {cut} updates at either end, but only "
                f"{len(deltas)} arrived.",
                "Wait for more clients in a round, or trim less.",
            )
        direction = np.empty(len(deltas[0]), np.float32)
        for where, block in blocks(deltas):
            block.sort(axis=0)
            # Row by row, because NumPy's own sum takes another order for other shapes.
            total = np.zeros(block.shape[1], np.float64)
            for row in block[cut : cut + left]:
                total += row
            direction[where] = total / left
        return direction
