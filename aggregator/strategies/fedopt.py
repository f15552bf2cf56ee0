"""FedOpt: Adaptive Federated Optimization, the part that its three optimisers share.

Reddi et al., 2021, https://arxiv.org/abs/2003.00295, Algorithm 2.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.options import fraction, positive
from shared.weights import Vector, Weights, pieces


class FedOpt(FedAvg):
    """A server optimiser that adapts its step to each weight.

    With ``delta`` the updates' average weighted by examples::

        m = beta1 * m + (1 - beta1) * delta
        v = accumulate(v, delta ** 2)
        w + server_learning_rate * m / (sqrt(v) + tau)

    where m begins at 0 and v at tau ** 2, the smallest value that the paper allows.

    Parameters
    ----------
    server_learning_rate
        About the largest change of a weight in one round.
    beta1
        Decay of the first moment, in [0, 1).
    tau
        Degree of adaptivity: deltas well below it are not scaled up to full steps.
    """

    remembers: ClassVar[tuple[str, ...]] = ("m", "v")

    def __init__(self, *, server_learning_rate: float, beta1: float, tau: float) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.beta1 = fraction("beta1", beta1)
        self.tau = positive("tau", tau)
        self._initial_v = tau**2

    @abstractmethod
    def accumulate(self, v: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Take the square of a piece of the delta into the second moment, in place."""

    def rate(self) -> float:
        """Give the learning rate of the step that begins."""
        return self.server_learning_rate

    def step(self, weights: Vector, direction: Weights) -> Weights:
        """Take the optimiser's step; the direction's memory becomes the result's."""
        # Not `setdefault`, which would make another vector each time.
        for name, initial in (("m", 0.0), ("v", self._initial_v)):
            if name not in self._memory:
                self._memory[name] = np.full_like(direction, initial)
        m_all, v_all = self._memory["m"], self._memory["v"]
        rate = self.rate()
        for where in pieces(len(weights)):
            delta, m, v = direction[where], m_all[where], v_all[where]
            m *= self.beta1
            m += (1 - self.beta1) * delta
            self.accumulate(v, delta * delta)
            delta[:] = weights[where] + rate * m / (np.sqrt(v) + self.tau)
        return direction
