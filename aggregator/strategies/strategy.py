"""The interface of strategies: how a round's updates become the next global model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from shared.weights import Vector, Weights

State = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64]
"""One array of what a strategy remembers."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one client contributes to a round.

    Attributes
    ----------
    client
        Its name. Updates are taken in the order of their names, so that the result does not
        depend on the order in which they arrive.
    examples
        Number of examples it trained on.
    delta
        Its weights after training minus the round's global weights, shape ``(parameters,)``.
    control
        SCAFFOLD's change of the client's control variate, same shape; otherwise ``None``.
    """

    client: str
    examples: int
    delta: Vector
    control: Vector | None = None


class Strategy(ABC):
    """Turns a round's updates into the next global weights.

    A strategy is a rule that combines the updates into one direction, and a server optimiser that
    takes a step along it. Each strategy is one file, named after its paper's name for it.
    """

    name: ClassVar[str]
    """What settings and tables call it."""

    random_access: ClassVar[bool] = False
    """Whether the updates are read more than once, in pieces: they must then be a sequence."""

    @abstractmethod
    def combine(self, updates: Iterable[Update]) -> Weights:
        """Combine the updates into one direction.

        Parameters
        ----------
        updates
            At least one, in the order of the clients' names. Read once and one after the other
            unless ``random_access`` is true, so that memory does not grow with clients.
        """

    def step(self, weights: Weights, direction: Weights) -> Weights:
        """Take the server's step from the global weights along the direction."""
        return weights + direction

    def aggregate(self, weights: Weights, updates: Iterable[Update]) -> Weights:
        """Compute the next global weights; the given ones are left as they are."""
        return self.step(weights, self.combine(updates))

    def broadcast(self) -> dict[str, Weights]:
        """Give what clients need besides the global weights (SCAFFOLD's control variate)."""
        return {}

    def state(self) -> dict[str, State]:
        """Give what the server optimiser must remember between rounds."""
        return {}

    def restore(self, state: dict[str, State]) -> None:
        """Take back what :meth:`state` gave, to go on bit for bit."""
        if state:
            raise ValueError(f"{self.name} keeps no state")
