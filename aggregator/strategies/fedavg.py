"""FedAvg: Communication-Efficient Learning of Deep Networks from Decentralized Data.

McMahan et al., 2017, https://arxiv.org/abs/1602.05629
"""

from collections.abc import Iterable

from aggregator.strategies.arithmetic import WeightedSum
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.update import Update
from shared.errors import TrainingError
from shared.weights import Weights


class FedAvg(Strategy):
    """Average the updates, weighted by examples, and add the average.

    ``w + server_learning_rate * sum(n_i * delta_i) / sum(n_i)``

    Parameters
    ----------
    server_learning_rate
        1 is the paper's; others are the server SGD of Reddi et al. (2021).
    """

    name = "fedavg"
    needs_single_updates = False

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Average the updates, weighted by examples, in one pass over them.

        Raises
        ------
        TrainingError
            If an update has no examples.
        """
        mean = WeightedSum()
        for update in updates:
            if update.examples < 1:
                raise TrainingError(f"The update of {update.client} has no examples.")
            mean.add(update.delta, update.examples)
            del update  # or its vector would live until the next one is there
        return mean.divided(mean.total)
