"""Rounds of a federation in one process: clients train one after the other."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from aggregator.strategies import Strategy, Update, make_strategy
from aggregator.strategies.strategy import State
from edge_client.simulation.controls import Controls
from edge_client.simulation.settings import STRATEGY_OPTIONS, SimulationSettings
from edge_client.training import Engine, OptimizerState, Progress, Trained, train
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.vector_file import VectorFile
from shared.weights import Weights

BYTES_PER_WEIGHT = 4
"""On the wire, as float32."""


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """What a round came to.

    Attributes
    ----------
    weights
        The next global weights.
    loss
        Mean training loss over the participants' examples; NaN if nobody took part.
    clients
        Number of clients whose update counted.
    bytes_down, bytes_up
        What the participants would receive and send over a network.
    """

    weights: Weights
    loss: float
    clients: int
    bytes_down: int = 0
    bytes_up: int = 0


class Rounds(Protocol):
    """What a run repeats: a round of a federation, or an epoch of the baseline."""

    def run(self, number: int, weights: Weights) -> RoundOutcome:
        """Run round ``number`` (from 1) from these global weights."""
        ...

    def state(self) -> dict[str, State]:
        """Give what must be remembered between rounds besides the weights."""
        ...

    def restore(self, number: int, state: dict[str, State]) -> None:
        """Go on after round ``number`` with what :meth:`state` gave then."""
        ...

    def settle(self, number: int) -> None:
        """Drop what only a resumption from before round ``number`` would need."""
        ...


def client_name(index: int) -> str:
    """Name the client with this index; names sort as their numbers do."""
    return f"client-{index:05d}"


def cosine(number: int, rounds: int) -> float:
    """Give the factor of a cosine schedule in round ``number``: from 1 down towards 0."""
    return 0.5 * (1 + math.cos(math.pi * (number - 1) / rounds))


def training_settings(settings: SimulationSettings, number: int) -> TrainingSettings:
    """Give the training settings that are announced for round ``number``."""
    announced = settings.part(TrainingSettings)
    if settings.schedule == "constant":
        return announced
    rate = settings.learning_rate * cosine(number, settings.rounds)
    return announced.model_copy(update={"learning_rate": rate})


def strategy_of(settings: SimulationSettings, clients: int) -> Strategy:
    """Make the strategy that the settings name, with the options given for it.

    Raises
    ------
    SettingsError
        If there is no such strategy, or it has no such option.
    """
    given = {name: getattr(settings, name) for name in STRATEGY_OPTIONS}
    if settings.strategy == "scaffold":
        given["clients"] = clients
    return make_strategy(settings.strategy, **given)


class Federation:
    """Rounds over clients that exist only as examples.

    Clients are trained one after the other and their updates handed on at once, so memory does
    not grow with their number; strategies that need all updates together read them from disk.

    Parameters
    ----------
    settings
        Strategy, sampling and training.
    engine
        What trains.
    clients
        Each client's examples.
    folder
        Where SCAFFOLD's control variates are kept; a temporary folder if not given.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        engine: Engine,
        clients: Sequence[Examples],
        folder: Path | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clients = clients
        self._strategy = strategy_of(settings, len(clients))
        self._controls: Controls | None = None
        if settings.strategy == "scaffold":
            self._controls = Controls(folder, engine.architecture.parameters)

    def run(self, number: int, weights: Weights) -> RoundOutcome:
        """Run one round; see :class:`Rounds`."""
        sampled = self._sample(number)
        answering = self._answering(number, sampled)
        vectors = 2 if self._controls else 1
        size = vectors * BYTES_PER_WEIGHT * len(weights)
        losses: list[tuple[float, int]] = []
        next_weights = weights
        if answering:
            with ExitStack() as stack:
                updates: Iterator[Update] | list[Update]
                updates = self._updates(number, weights, answering, losses)
                if self._strategy.random_access:
                    spool = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                    updates = [_spooled(update, spool) for update in updates]
                scheduled = self._settings.server_schedule == "cosine"
                length = cosine(number, self._settings.rounds) if scheduled else 1.0
                next_weights = self._strategy.aggregate(weights, updates, length=length)
        total = sum(examples for _, examples in losses)
        return RoundOutcome(
            weights=next_weights,
            loss=sum(loss * n for loss, n in losses) / total if total else math.nan,
            clients=len(answering),
            bytes_down=size * len(sampled),
            bytes_up=size * len(answering),
        )

    def state(self) -> dict[str, State]:
        """Give the strategy's state."""
        return self._strategy.state()

    def restore(self, number: int, state: dict[str, State]) -> None:
        """Take the strategy's state back, and each client's control variate of that round."""
        self._strategy.restore(state)
        if self._controls:
            self._controls.restore(number)

    def settle(self, number: int) -> None:
        """Drop control variates that were replaced before round ``number``."""
        if self._controls:
            self._controls.settle(number)

    def _sample(self, number: int) -> list[int]:
        """Choose who takes part in a round."""
        count = len(self._clients)
        wanted = self._settings.clients_per_round or max(1, round(self._settings.fraction * count))
        if wanted >= count:
            return list(range(count))
        rng = stream(self._settings.seed, "sampling", number)
        return sorted(rng.choice(count, wanted, replace=False).tolist())

    def _answering(self, number: int, sampled: list[int]) -> list[int]:
        """Leave out the clients that fail in this round."""
        if not self._settings.client_dropout:
            return sampled
        rng = stream(self._settings.seed, "client dropout", number)
        fails = rng.random(len(self._clients)) < self._settings.client_dropout
        return [index for index in sampled if not fails[index]]

    def _updates(
        self, number: int, weights: Weights, answering: list[int], losses: list[tuple[float, int]]
    ) -> Iterator[Update]:
        """Train the clients one after the other; note each one's loss and examples."""
        announced = training_settings(self._settings, number)
        control: Weights | None = None
        if self._controls:
            control = self._strategy.broadcast().get("control", np.zeros_like(weights))
        for index in answering:
            name, examples = client_name(index), self._clients[index]
            own = self._controls.of(name) if self._controls else None
            outcome = train(
                self._engine,
                weights,
                examples,
                announced,
                partial(stream, self._settings.seed, "training", name, number),
                correction=None if control is None or own is None else control - own,
            )
            if not isinstance(outcome, Trained):
                raise TypeError("a simulated client is never stopped between steps")
            losses.append((outcome.loss, len(examples)))
            delta = np.subtract(outcome.weights, weights, out=outcome.weights)
            change = None
            if self._controls and control is not None and own is not None:
                # Option II of Karimireddy et al. (2020), equation 4.
                change = -control - delta / np.float32(outcome.steps * announced.learning_rate)
                self._controls.keep(name, number, own + change)
            yield Update(name, len(examples), delta, change)


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
            training_settings(self._settings, number),
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

    def settle(self, number: int) -> None:
        """Do nothing: the checkpoint holds it all."""


def _spooled(update: Update, folder: Path) -> Update:
    """Move an update's vector to the disk."""
    file = VectorFile.write(folder / update.client, np.asarray(update.delta))
    return Update(update.client, update.examples, file)
