"""SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, the server's side.

Karimireddy et al., 2020, https://arxiv.org/abs/1910.06378, Algorithm 1.
"""

from collections.abc import Iterable

import numpy as np

from aggregator.strategies.arithmetic import WeightedSum, check_bounded
from aggregator.strategies.options import count
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.update import Update
from shared.errors import SettingsError, TrainingError
from shared.training import TrainingSettings
from shared.weights import Vector, Weights


class Scaffold(Strategy):
    """Average the updates, and keep the global control variate that corrects the clients' drift.

    With S the clients of the round and N all clients, all with the same weight as in the paper::

        w + server_learning_rate * mean(delta_i)
        c = c + |S| / N * mean(control_i)

    Parameters
    ----------
    clients
        N, the number of clients in the whole federation.
    server_learning_rate
        1 in the paper's experiments.
    """

    name = "scaffold"
    remembers = ("control",)
    extra_vectors = ("control",)

    @classmethod
    def check_training(cls, training: TrainingSettings) -> None:
        """Raise :class:`SettingsError` unless clients train with plain SGD."""
        if training.optimizer != "sgd" or training.momentum:
            raise SettingsError(
                "The strategy scaffold is defined for plain SGD on the clients (optimizer sgd).",
                "Set optimizer to sgd and leave out momentum, or choose another strategy.",
            )

    def __init__(self, *, clients: int, server_learning_rate: float = 1.0) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.clients = count("clients", clients, least=1)
        self._change: Weights | None = None

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Average the updates, in one pass over them.

        Raises
        ------
        TrainingError
            If an update comes without its control variate, or there are more than N.
        """
        mean, change = WeightedSum(), WeightedSum()
        for update in updates:
            if update.control is None:
                raise TrainingError(
                    f"The update of {update.client} lacks the control variate that the strategy "
                    "scaffold needs."
                )
            mean.add(update.delta)
            change.add(update.control)
            del update  # or its vectors would live until the next one is there
        if mean.total > self.clients:
            raise TrainingError(
                f"{mean.total} updates arrived, more than the {self.clients} clients that the "
                "strategy scaffold was told of.",
                "Set the option clients to the number of clients in the whole federation.",
            )
        self._change = change.divided(self.clients)
        check_bounded(self._change, "The change of the control variate")
        return mean.divided(mean.total)

    def step(self, weights: Vector, direction: Weights) -> Weights:
        """Take the server's step; the round's change of the control variate counts from now on."""
        if self._change is not None:
            # Into the change's memory: the old one may still be under way to the clients.
            self._change += self._memory.get("control", np.float32(0))
            self._memory["control"], self._change = self._change, None
        return super().step(weights, direction)

    def broadcast(self) -> dict[str, Weights]:
        """Give the global control variate as ``control``; before the first round it is zero.

        Returns
        -------
        dict
            Empty before the first round, so that no zeros are sent.
        """
        return dict(self._memory)
