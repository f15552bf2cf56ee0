"""FedAdagrad: Adaptive Federated Optimization with Adagrad on the server.

Reddi et al., 2021, https://arxiv.org/abs/2003.00295, Algorithm 2.
"""

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.fedopt import FedOpt


class FedAdagrad(FedOpt):
    """FedOpt with ``v = v + delta ** 2``.

    Parameters
    ----------
    server_learning_rate
        The paper tunes it for each task.
    beta1
        Decay of the first moment, in [0, 1); the paper's experiments take 0: no momentum.
    tau
        Degree of adaptivity; 1e-3 is the paper's.
    """

    name = "fedadagrad"

    def __init__(
        self, *, server_learning_rate: float = 1e-2, beta1: float = 0.0, tau: float = 1e-3
    ) -> None:
        super().__init__(server_learning_rate=server_learning_rate, beta1=beta1, tau=tau)

    def accumulate(self, v: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Take the square of a piece of the delta into the second moment, in place."""
        v += square
