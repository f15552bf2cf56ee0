"""Krum: Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent.

Blanchard et al., 2017, https://arxiv.org/abs/1703.02757
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.arithmetic import WeightedSum, blocks
from aggregator.strategies.options import count
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.update import Update
from shared.errors import TrainingError
from shared.weights import Vector, Weights


class Krum(Strategy):
    """Take the one update that lies closest to its neighbours.

    An update's score is the sum of its squared distances to the ``n - f - 2`` nearest others; the
    update with the smallest score is taken as it is. The number of examples plays no part.

    Parameters
    ----------
    server_learning_rate
        What the direction is multiplied by.
    byzantine
        The number f of dishonest clients to withstand; a round needs ``n >= 2 * f + 3`` updates.
    """

    name = "krum"
    random_access = True

    def __init__(self, *, server_learning_rate: float = 1.0, byzantine: int = 1) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.byzantine = count("byzantine", byzantine, least=0)

    def enough(self, arrived: int) -> bool:
        """Say whether the rule can combine so many updates."""
        return arrived >= self._needed

    @property
    def _needed(self) -> int:
        return 2 * self.byzantine + 3

    def selected(self, arrived: int) -> int:
        """Say how many of the updates that arrived are to be averaged."""
        return min(arrived, 1)

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Average the updates with the smallest scores.

        Of equal scores, the client that comes first in the order of names is taken.

        Raises
        ------
        TrainingError
            If fewer than ``2 * byzantine + 3`` updates arrived, or fewer than can be selected.
        """
        deltas = [update.delta for update in updates]
        if len(deltas) < self._needed:
            raise TrainingError(
                f"The strategy {self.name} needs at least {self._needed} updates to withstand "
                f"{self.byzantine} dishonest clients, but only {len(deltas)} arrived.",
                "Wait for more clients in a round, or lower the option byzantine.",
            )
        scores = _scores(deltas, neighbours=len(deltas) - self.byzantine - 2)
        best = np.argsort(scores, kind="stable")[: self.selected(len(deltas))]
        mean = WeightedSum()
        for index in sorted(best):
            mean.add(deltas[index])
        return mean.divided(mean.total)


class MultiKrum(Krum):
    """Average the updates that lie closest to their neighbours, all with the same weight.

    The scores are those of :class:`Krum`.

    Parameters
    ----------
    server_learning_rate
        What the direction is multiplied by.
    byzantine
        The number f of dishonest clients to withstand; a round needs ``n >= 2 * f + 3`` updates.
    select
        How many updates to average, the paper's m; if not given, ``n - f`` as in its experiments.
    """

    name = "multi-krum"

    def __init__(
        self,
        *,
        server_learning_rate: float = 1.0,
        byzantine: int = 1,
        select: int | None = None,
    ) -> None:
        super().__init__(server_learning_rate=server_learning_rate, byzantine=byzantine)
        self.select = None if select is None else count("select", select, least=1)

    def enough(self, arrived: int) -> bool:
        """Say whether the rule can combine so many updates."""
        return super().enough(arrived) and (self.select or 0) <= arrived - self.byzantine

    def selected(self, arrived: int) -> int:
        """Say how many of the updates that arrived are to be averaged."""
        honest = arrived - self.byzantine
        if self.select is None:
            return honest
        if self.select > honest:
            raise TrainingError(
                f"The strategy multi-krum cannot select {self.select} of {arrived} updates and "
                f"leave out {self.byzantine}.",
                "Wait for more clients in a round, or lower the option select.",
            )
        return self.select


def _scores(deltas: Sequence[Vector], neighbours: int) -> NDArray[np.float64]:
    """Sum each update's squared distances to its nearest neighbours: shape ``(n,)``, float64."""
    size = len(deltas)
    distances = np.zeros((size, size))
    for _, block in blocks(deltas):
        values = block.astype(np.float64)
        for first in range(size - 1):
            apart = values[first + 1 :] - values[first]
            distances[first, first + 1 :] += np.einsum("ij,ij->i", apart, apart)
    distances += distances.T
    # The first of the sorted distances is the one to itself.
    nearest: NDArray[np.float64] = np.sort(distances, axis=1)[:, 1 : neighbours + 1]
    return np.asarray(nearest.sum(axis=1), np.float64)
