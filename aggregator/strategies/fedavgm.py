"""FedAvgM: Measuring the Effects of Non-Identical Data Distribution, with server momentum.

Hsu, Qi & Brown, 2019, https://arxiv.org/abs/1909.06335
"""

import numpy as np

from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.options import fraction
from shared.weights import Vector, Weights


class FedAvgM(FedAvg):
    """FedAvg with momentum on the server.

    With ``delta`` the updates' average weighted by examples: ``v = server_momentum * v + delta``,
    then ``w + server_learning_rate * v``.

    Parameters
    ----------
    server_learning_rate
        1 in the paper.
    server_momentum
        In [0, 1); the paper tries 0 to 0.997. A small learning rate goes with a large momentum.
    """

    name = "fedavgm"
    remembers = ("momentum",)

    def __init__(self, *, server_learning_rate: float = 1.0, server_momentum: float = 0.9) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.server_momentum = fraction("server_momentum", server_momentum)

    def step(self, weights: Vector, direction: Weights) -> Weights:
        """Take the server's step along the momentum; the direction's memory is reused."""
        momentum = self._memory.setdefault("momentum", np.zeros_like(direction))
        momentum *= self.server_momentum
        momentum += direction
        direction[:] = momentum
        return super().step(weights, direction)
