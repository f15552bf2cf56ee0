"""FedYogi: Adaptive Federated Optimization with Yogi on the server.

Reddi et al., 2021, https://arxiv.org/abs/2003.00295, Algorithm 2.
"""

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.fedopt import FedOpt
from aggregator.strategies.options import fraction


class FedYogi(FedOpt):
    """FedOpt with ``v = v - (1 - beta2) * delta ** 2 * sign(v - delta ** 2)``.

    Parameters
    ----------
    server_learning_rate
        The paper tunes it for each task.
    beta1, beta2
        Decay of the moments, in [0, 1); 0.9 and 0.99 are the paper's.
    tau
        Degree of adaptivity; 1e-3 is the paper's.
    """

    name = "fedyogi"

    def __init__(
        self,
        *,
        server_learning_rate: float = 1e-2,
        beta1: float = 0.9,
        beta2: float = 0.99,
        tau: float = 1e-3,
    ) -> None:
        super().__init__(server_learning_rate=server_learning_rate, beta1=beta1, tau=tau)
        self.beta2 = fraction("beta2", beta2)

    def accumulate(self, v: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Take the square of a piece of the delta into the second moment, in place."""
        v -= (1 - self.beta2) * square * np.sign(v - square)
