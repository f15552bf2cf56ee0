"""FedAdam: Adaptive Federated Optimization with Adam on the server.

Reddi et al., 2021, https://arxiv.org/abs/2003.00295, Algorithm 2.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.fedopt import FedOpt
from aggregator.strategies.options import fraction

CHAU_GARCES: Final[dict[str, float | bool]] = {
    "server_learning_rate": 1e-2,
    "beta1": 0.9,
    "beta2": 0.999,
    "tau": 1e-7,
    "bias_correction": True,
}
"""The options that make it the server optimiser of Chau & Garces (2021): Adam as Keras has it."""


class FedAdam(FedOpt):
    """FedOpt with ``v = beta2 * v + (1 - beta2) * delta ** 2``.

    Parameters
    ----------
    server_learning_rate
        1e-2 is that of Chau & Garces (2021).
    beta1, beta2
        Decay of the moments, in [0, 1); 0.9 and 0.99 are the paper's.
    tau
        Degree of adaptivity; 1e-3 is the paper's.
    bias_correction
        Multiply the learning rate of step t by ``sqrt(1 - beta2 ** t) / (1 - beta1 ** t)`` and
        begin v at 0, as Kingma & Ba (2015) and Keras do and the paper does not. Without it the
        first rounds take smaller steps.
    """

    name = "fedadam"
    remembers = ("m", "v", "steps")

    def __init__(
        self,
        *,
        server_learning_rate: float = 1e-2,
        beta1: float = 0.9,
        beta2: float = 0.99,
        tau: float = 1e-3,
        bias_correction: bool = False,
    ) -> None:
        super().__init__(server_learning_rate=server_learning_rate, beta1=beta1, tau=tau)
        self.beta2 = fraction("beta2", beta2)
        self.bias_correction = bias_correction
        if bias_correction:
            self._initial_v = 0.0

    def accumulate(self, v: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Take the square of a piece of the delta into the second moment, in place."""
        v *= self.beta2
        v += (1 - self.beta2) * square

    def rate(self) -> float:
        """Give the learning rate of the step that begins, and count the step."""
        steps = self._memory.setdefault("steps", np.zeros(1, np.int64))
        steps += 1
        if not self.bias_correction:
            return self.server_learning_rate
        taken = int(steps[0])
        correction = math.sqrt(1 - self.beta2**taken) / (1 - self.beta1**taken)
        return self.server_learning_rate * correction
