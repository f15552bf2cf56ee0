"""The baseline: training on all data in one place."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from aggregator.strategies.strategy import State
from edge_client.learning.training import Engine, OptimizerState, Progress, Trained, train
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.trainer import RoundOutcome
from shared.randomness import stream
from shared.training import Examples
from shared.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable


class CentralTraining:
    """The baseline: one model, all training data, an optimiser that lives on between epochs."""

    def __init__(self, settings: SimulationSettings, engine: Engine, examples: Examples) -> None:
        self._settings = settings
        self._engine = engine
        self._examples = examples
        self._optimizer = OptimizerState()

    def run(self, number: int, weights: Weights) -> RoundOutcome:
        """Run one epoch (or as many epochs or steps as a client would in a round)."""
        streams: Callable[..., np.random.Generator]
        streams = partial(stream, self._settings.seed, "training", "baseline", number)
        outcome = train(
            self._engine,
            Progress(0, weights, self._optimizer),
            self._examples,
            self._settings.announced(number),
            streams,
            anchor=weights,
        )
        if not isinstance(outcome, Trained):
            raise TypeError("the baseline is never stopped between steps")
        self._optimizer = self._engine.optimizer()
        return RoundOutcome(outcome.weights, outcome.loss, 1)

    def state(self) -> dict[str, State]:
        """Give the optimiser's state."""
        return {"step": np.array(self._optimizer.step), **self._optimizer.slots}

    def restore(self, number: int, state: dict[str, State]) -> None:
        """Take the optimiser's state back."""
        del number  # it is the optimiser's step that counts
        slots = {name: value.astype(np.float32) for name, value in state.items() if name != "step"}
        self._optimizer = OptimizerState(int(state.get("step", 0)), slots)

    def sync(self, number: int) -> None:
        """Do nothing: the checkpoint holds it all."""

    def settle(self, number: int) -> None:
        """Do nothing: the checkpoint holds it all."""
