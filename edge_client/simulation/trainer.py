"""What a run repeats, and what each time comes to."""

from dataclasses import dataclass
from typing import Protocol

from aggregator.strategies.strategy import State
from shared.weights import Weights


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """What a round came to.

    Attributes
    ----------
    weights
        The next global weights.
    loss
        Mean training loss over the participants' examples; NaN if nobody took part, or the
        round was given up.
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


class Trainer(Protocol):
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

    def sync(self, number: int) -> None:
        """Make durable what goes on after round ``number`` and no checkpoint holds."""
        ...

    def settle(self, number: int) -> None:
        """Drop what only a resumption from before round ``number`` would need."""
        ...
