"""Strategies such as a user might write, good ones and others."""

from collections.abc import Iterable

import numpy as np

from aggregator.strategies import Strategy, Update
from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.scaffold import Scaffold
from shared.errors import SettingsError
from shared.training import TrainingSettings
from shared.weights import Vector, Weights


class LargestNorm(Strategy):
    """Take the update that is the longest, and a share of it."""

    def __init__(self, *, server_learning_rate: float = 1.0, trim: float = 0.5) -> None:
        super().__init__(server_learning_rate=server_learning_rate)
        self.trim = trim

    @classmethod
    def check_training(cls, training: TrainingSettings) -> None:
        """Want all of the model to be trained."""
        if training.head_only:
            raise SettingsError("LargestNorm wants whole models.")

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Choose one."""
        longest = max(updates, key=lambda update: float(np.linalg.norm(update.delta)))
        return np.asarray(longest.delta) * np.float32(self.trim)


class Idle(FedAvg):
    """Stay where it is."""

    def step(self, weights: Vector, direction: Weights) -> Weights:
        """Give back what was given, without a copy where that is an array."""
        del direction
        return weights[:]


class DriftFree(Scaffold):
    """SCAFFOLD by another name."""


class DriftFreeTogether(Scaffold):
    """SCAFFOLD, with all updates at hand at once."""

    random_access = True


class Unfinished(Strategy):
    """Do not say how to combine."""


class Nosy(FedAvg):
    """Ask clients for what they do not have."""

    extra_vectors = ("examples",)
