"""Rounds of a simulated federation: who takes part, and what comes of their updates."""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from aggregator.strategies import Update
from aggregator.strategies.privacy import Normal, PrivateMean, system_normal
from aggregator.strategies.sampling import sample
from aggregator.strategies.settings import private_mean_of, strategy_of
from aggregator.strategies.strategy import State
from edge_client.learning.client_round import Contribution
from edge_client.learning.training import Engine
from edge_client.simulation.client_vectors import ClientVectors
from edge_client.simulation.client_work import ClientWork, RoundWork, Workers
from edge_client.simulation.local_workers import LocalWorkers
from edge_client.simulation.poisoning import Poisoning
from edge_client.simulation.round_updates import RoundUpdates, folder_of_round, kept_updates
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.trainer import RoundOutcome
from shared.codecs import Codec, make_codec
from shared.codecs.update_file import EncodedUpdate, encode_update
from shared.randomness import stream
from shared.training import Examples
from shared.vector_file import VectorFile
from shared.weights import Weights

BYTES_PER_WEIGHT = 4
"""On the wire, as float32."""


def client_name(index: int) -> str:
    """Name the client with this index; names sort as their numbers do."""
    return f"client-{index:05d}"


def clients_of_round(settings: SimulationSettings, clients: int) -> int:
    """Say how many of the clients take part in a round."""
    return settings.clients_per_round or max(1, round(settings.fraction * clients))


class SimulatedFederation:
    """Rounds over clients that exist only as examples.

    As many clients are trained at a time as there are engines, and their updates handed on at
    once, in the clients' order: neither memory nor the result depends on how many there are.
    Strategies that need all updates together read them from disk. The first round, whose bounds are
    the median of its own norms, goes through its updates twice: what does not fit on the disk is
    trained twice, to the same bits.

    Parameters
    ----------
    settings
        Strategy, sampling and training.
    engines
        What trains: one for each client that is trained at the same time in this process.
    clients
        Each client's examples.
    folder
        Where it is kept what clients remember, and where a round's updates go if its strategy
        needs them all together; a temporary folder if not given.
    normal
        Where the noise of differential privacy comes from; others than the system's entropy are for
        tests.
    workers
        What trains the clients, if the engines do not.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        engines: Sequence[Engine],
        clients: Sequence[Examples],
        folder: Path | None = None,
        normal: Normal = system_normal,
        workers: Workers | None = None,
    ) -> None:
        self._settings = settings
        self._workers = workers or LocalWorkers(engines, clients)
        self._architecture = engines[0].architecture
        self._clients = clients
        self._strategy = strategy_of(settings, len(clients))
        self._normal = normal
        wanted = clients_of_round(settings, len(clients))
        self._private: PrivateMean | None = None
        if not settings.secure:  # else clients add the noise
            self._private = private_mean_of(settings, wanted, self._architecture)
        self._poisoning = Poisoning(settings, len(settings.task.labels))
        self._folder = folder
        self._controls: ClientVectors | None = None
        if "control" in self._strategy.extra_vectors:
            self._controls = ClientVectors(folder, "control", self._architecture.parameters)
        self._residuals: ClientVectors | None = None
        if self._loses_something:
            self._residuals = ClientVectors(folder, "residual", self._architecture.parameters)
        self._update_bytes = 0
        self._difference_bytes = 0

    def run(self, number: int, weights: Weights) -> RoundOutcome:
        """Run one round; see :class:`Trainer`."""
        sampled = self._sample(number)
        answering = self._answering(number, sampled)
        next_weights, loss, counted = weights, math.nan, 0
        made = self._next(number, weights, len(sampled), answering) if answering else None
        if made:
            computed, loss = made
            counted = len(answering)
            rng = stream(self._settings.seed, "download", number)
            next_weights, _ = self._strategy.download.publish(
                weights, computed, self._architecture, rng
            )
        return RoundOutcome(
            weights=next_weights,
            loss=loss,
            clients=counted,
            bytes_down=self._size_down(number) * len(sampled),
            bytes_up=self._update_bytes * len(answering),
        )

    def state(self) -> dict[str, State]:
        """Give the strategy's state."""
        return self._strategy.state()

    def restore(self, number: int, state: dict[str, State]) -> None:
        """Take the strategy's state back, and each client's control variate of that round."""
        self._strategy.restore({name: array.copy() for name, array in state.items()})
        for vectors in self._remembered:
            vectors.restore(number)

    def sync(self, number: int) -> None:
        """Make durable what clients remember of round ``number`` and before."""
        for vectors in self._remembered:
            vectors.sync(number)

    def settle(self, number: int) -> None:
        """Drop what clients remember that was replaced before round ``number``."""
        for vectors in self._remembered:
            vectors.settle(number)

    @property
    def _remembered(self) -> list[ClientVectors]:
        return [vectors for vectors in (self._controls, self._residuals) if vectors]

    @property
    def _loses_something(self) -> bool:
        """Whether clients keep what their codec leaves out."""
        return not make_codec(self._settings.codec).lossless

    def _next(
        self, number: int, weights: Weights, invited: int, answering: list[int]
    ) -> tuple[Weights, float] | None:
        """Have clients take part; give the next weights, and the mean training loss.

        ``None`` is for a round that is given up.
        """
        del invited  # what comes of a round does not depend on who fails in it
        losses: dict[int, tuple[float, int]] = {}
        train = partial(self._updates, number, weights, losses=losses)
        length = self._settings.step_length(number)
        if self._private:
            mean = self._private.mean(train(answering), self._normal)
            next_weights = self._strategy.follow(weights, mean, length=length)
        else:
            examples = [
                self._poisoning.claim(index, len(self._clients[index])) for index in answering
            ]
            with self._readable(answering, train) as updates:
                next_weights = self._strategy.aggregate(
                    weights, updates, length=length, examples=examples
                )
        total = sum(examples for _, examples in losses.values())
        return next_weights, sum(loss * n for loss, n in losses.values()) / total

    @contextmanager
    def _readable(
        self, answering: Sequence[int], train: Callable[[Sequence[int]], Iterator[Update]]
    ) -> Iterator[Iterable[Update]]:
        """Have clients train as often as the strategy goes through their updates."""
        if not self._strategy.reads_twice:
            yield train(answering)
            return
        vectors = 1 + len(self._strategy.extra_vectors)
        size = vectors * VectorFile.bytes_of(self._architecture.parameters)
        with folder_of_round(self._folder) as folder:
            kept = kept_updates(
                len(answering), size, folder, all_of_them=self._strategy.random_access
            )
            yield RoundUpdates(answering, train, folder, kept)

    def _sample(self, number: int) -> list[int]:
        """Choose who takes part in a round."""
        count = len(self._clients)
        wanted = clients_of_round(self._settings, count)
        return sample(range(count), wanted, stream(self._settings.seed, "sampling", number))

    def _answering(self, number: int, sampled: list[int]) -> list[int]:
        """Leave out the clients that fail in this round."""
        if not self._settings.client_dropout:
            return sampled
        rng = stream(self._settings.seed, "client dropout", number)
        fails = rng.random(len(self._clients)) < self._settings.client_dropout
        return [index for index in sampled if not fails[index]]

    def _updates(
        self,
        number: int,
        weights: Weights,
        answering: Sequence[int],
        losses: dict[int, tuple[float, int]],
    ) -> Iterator[Update]:
        """Have the clients take part; note each one's loss and examples."""
        control: Weights | None = None
        if self._controls:
            control = self._strategy.broadcast().get("control", np.zeros_like(weights))
        codec = make_codec(self._settings.codec)
        outcomes = self._contributions(number, weights, answering, lambda _: codec, control)
        for index, outcome in outcomes:
            encoded, name = outcome.encoded, client_name(index)
            self._measure(encoded)
            update = Update(name, outcome.examples, encoded.delta, encoded.control)
            update = self._poisoning.update(index, update)
            losses[index] = (outcome.loss, update.examples)
            del outcome, encoded  # or the vectors would live until the next ones are there
            yield update
            del update

    def _contributions(
        self,
        number: int,
        weights: Weights,
        answering: Sequence[int],
        codec_of: Callable[[int], Codec],
        control: Weights | None = None,
    ) -> Iterator[tuple[int, Contribution]]:
        """Train clients, and keep what each remembers; give what it sends, with its index."""
        work = RoundWork(
            number,
            self._settings.seed,
            weights,
            self._settings.announced(number),
            self._poisoning,
            control,
        )
        given = partial(self._given, number, codec_of)
        outcomes = self._workers.contributions(work, answering, given)
        for index, outcome in zip(answering, outcomes, strict=True):
            name, residual = client_name(index), outcome.encoded.residual
            if self._controls and outcome.own_control is not None:
                self._controls.keep(name, number, outcome.own_control)
            if self._residuals and residual is not None:
                self._residuals.keep(name, number, residual)
            del residual
            yield index, outcome
            del outcome

    def _given(self, number: int, codec_of: Callable[[int], Codec], index: int) -> ClientWork:
        """Give a client what it remembers of the rounds before this one."""
        name = client_name(index)
        return ClientWork(
            index,
            name,
            codec_of(index),
            residual=self._residuals.of(name, number) if self._residuals else None,
            own_control=self._controls.of(name, number) if self._controls else None,
        )

    def _size_down(self, number: int) -> int:
        """Count what a participant receives that has had the model of the round before."""
        codec, parameters = self._strategy.download.codec, self._architecture.parameters
        whole = BYTES_PER_WEIGHT * parameters
        control = whole if self._controls else 0
        if codec is None or number == 1:
            return whole + control
        if not self._difference_bytes:
            rng = stream(0, "download", 0)
            zeros = np.zeros(parameters, np.float32)
            self._difference_bytes = _file_size(
                encode_update(zeros, self._architecture, codec, rng)
            )
        return self._difference_bytes + control

    def _measure(self, encoded: EncodedUpdate) -> None:
        """Learn the bytes of an update's file, once: all have the same size."""
        if not self._update_bytes:
            self._update_bytes = _file_size(encoded)


def _file_size(encoded: EncodedUpdate) -> int:
    with tempfile.TemporaryDirectory() as folder:
        encoded.write(Path(folder, "update"))
        return Path(folder, "update").stat().st_size
