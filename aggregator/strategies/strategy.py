"""The interface of strategies: how a round's updates become the next global model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.arithmetic import check_bounded, writable
from aggregator.strategies.bounds import Bounds
from aggregator.strategies.download import Download
from aggregator.strategies.options import positive
from aggregator.strategies.update import Update
from shared.errors import TrainingError
from shared.training import TrainingSettings
from shared.weights import Vector, Weights, pieces

State = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64]
"""One array of what a strategy remembers."""


class Strategy(ABC):
    """Turns a round's updates into the next global weights.

    A strategy is a rule that combines the updates into one direction, and a server optimiser that
    takes a step along it. Each strategy is one file, named after its paper's name for it. Its
    options are the keyword arguments of its ``__init__``; settings of the same names
    (:data:`shared.round_settings.STRATEGY_OPTIONS`, and ``clients``) give their values.

    Parameters
    ----------
    server_learning_rate
        What the direction is multiplied by.

    Attributes
    ----------
    bounds
        What one client can do to a round; none, unless settings made the strategy.
    download
        How the next model travels down; whole, unless settings made the strategy.
    """

    name: ClassVar[str]
    """What settings and tables call it."""

    random_access: ClassVar[bool] = False
    """Whether it holds all updates at once and reads their vectors in pieces, more than once: then
    these should be files on disk, so that memory does not grow with clients."""

    needs_single_updates: ClassVar[bool] = True
    """Whether the mean of the updates, weighted by examples, is not enough for it."""

    remembers: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays it keeps between rounds."""

    extra_vectors: ClassVar[tuple[str, ...]] = ()
    """What clients send besides the difference of their weights: some of
    :data:`shared.codecs.update_file.EXTRA_VECTORS`."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Name a strategy after its class; one that combines in its own way needs all updates."""
        super().__init_subclass__(**options)
        if "combine" in vars(cls) and "needs_single_updates" not in vars(cls):
            cls.needs_single_updates = True
        if "name" not in vars(cls):
            cls.name = cls.__name__

    @classmethod
    def check_training(cls, training: TrainingSettings) -> None:
        """Raise :class:`SettingsError` if clients that train like this are of no use to it."""
        del training  # most take what comes

    def __init__(self, *, server_learning_rate: float = 1.0) -> None:
        self.server_learning_rate = positive("server_learning_rate", server_learning_rate)
        self._memory: dict[str, NDArray[Any]] = {}
        self.bounds = Bounds()
        self.download = Download()

    @abstractmethod
    def combine(self, updates: Iterable[Update]) -> Weights:
        """Combine the updates into one direction.

        Parameters
        ----------
        updates
            At least one, in the order of the clients' names. Read once and one after the other
            unless ``random_access`` is true, so that memory does not grow with clients.

        Returns
        -------
        Weights
            A vector of its own: :meth:`step` may write to it.

        Raises
        ------
        TrainingError
            If the updates are too few for the rule, or lack what it needs.
        """

    def enough(self, arrived: int) -> bool:
        """Say whether the rule can combine so many updates."""
        return arrived > 0

    def step(self, weights: Vector, direction: Weights) -> Weights:
        """Take the server's step from the global weights along the direction.

        The direction's memory becomes the result's.
        """
        for where in pieces(len(direction)):
            piece = direction[where]
            piece *= self.server_learning_rate
            piece += weights[where]
        return direction

    @property
    def reads_twice(self) -> bool:
        """Whether the next round's updates are gone through more than once."""
        return self.random_access or self.bounds.reads_twice

    def aggregate(
        self,
        weights: Vector,
        updates: Iterable[Update],
        *,
        length: float = 1.0,
        examples: Sequence[int] | None = None,
    ) -> Weights:
        """Compute the next global weights; the given ones are left as they are.

        If this fails, the strategy remembers what it did before.

        Parameters
        ----------
        weights
            The round's global weights; read in pieces, so that they may lie on the disk.
        updates
            In the order of the clients' names, each client once. Where these are gone through
            twice (:attr:`reads_twice`), an iterator's are held; what can be iterated again, is.
        length
            What the server's step is multiplied by: a schedule over the rounds.
        examples
            How many each update has, for the bounds; see :meth:`.bounds.Bounds.bounded`.

        Raises
        ------
        TrainingError
            If there are no updates or too few for the rule, or they combine into nonsense.
        ValueError
            If they are out of order, or not as long as the weights: the caller's mistake.
        """
        if self.reads_twice and isinstance(updates, Iterator):
            updates = list(updates)
        # Overflow is found by the check, and reported in a sentence.
        with np.errstate(over="ignore", invalid="ignore"):
            checked = _Checked(updates, len(weights))
            direction = self.combine(self.bounds.bounded(checked, examples))
        result = self.follow(weights, direction, length=length)
        self.bounds.learn()
        return result

    def follow(self, weights: Vector, direction: Weights, *, length: float = 1.0) -> Weights:
        """Compute the next global weights from the direction that updates combine into.

        Parameters
        ----------
        weights
            The round's global weights.
        direction
            From :meth:`combine`; or the mean of updates that nobody saw singly, for a strategy that
            does not need them. Its memory becomes the result's.
        length
            What the server's step is multiplied by.

        Raises
        ------
        TrainingError
            If the direction is nonsense.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            check_bounded(direction, "What the updates combine into")
            result = writable(self.step(weights, direction), weights)
        if length != 1:
            for where in pieces(len(result)):
                piece, before = result[where], weights[where]
                piece -= before
                piece *= np.float32(length)
                piece += before
        return result

    def broadcast(self) -> dict[str, Weights]:
        """Give what clients need besides the global weights, by its name in ``extra_vectors``."""
        return {}

    @property
    def memory(self) -> Mapping[str, State]:
        """What must be remembered between rounds; the next round changes it."""
        return {**self._memory, **self.bounds.memory, **self.download.memory}

    def state(self) -> dict[str, State]:
        """Copy out what must be remembered between rounds."""
        return {name: array.copy() for name, array in self.memory.items()}

    def restore(self, state: dict[str, State]) -> None:
        """Take back what :meth:`state` gave, to go on bit for bit.

        The arrays are not copied: the next round changes them. What belongs to the clients'
        ``extra_vectors`` may be there without the others, as after a rollback to the first model,
        or be missing, as when a run begins.

        Raises
        ------
        ValueError
            If it is the state of another strategy.
        """
        others = (self.bounds, self.download)
        own = {
            name: array
            for name, array in state.items()
            if not any(other.owns(name) for other in others)
        }
        named, shared = set(self.remembers), set(self.extra_vectors)
        if not own.keys() <= named or own.keys() - shared not in (set(), named - shared):
            raise ValueError(f"this is not the state of {self.name}: {', '.join(own)}")
        self._memory = own
        self.bounds.restore(state)
        self.download.restore(state)


@dataclass(frozen=True, slots=True)
class _Checked:
    """Updates that are passed on as long as they are in order and have the right lengths."""

    updates: Iterable[Update]
    parameters: int

    def __iter__(self) -> Iterator[Update]:
        previous: str | None = None
        for update in self.updates:
            if previous is not None and update.client <= previous:
                raise ValueError(f"update of {update.client} after {previous}: sort them by client")
            for vector in (update.delta, update.control):
                if vector is not None and len(vector) != self.parameters:
                    raise ValueError(f"update of {update.client} is not as long as the weights")
            previous = update.client
            yield update
            del update, vector  # or its vectors would live until the next one is there
        if previous is None:
            raise TrainingError("No updates arrived, so there is nothing to aggregate.")
