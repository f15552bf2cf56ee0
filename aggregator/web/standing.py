"""What the page needs to know of a federation that its ledger does not have."""

from collections.abc import Callable
from typing import Protocol


class Standing(Protocol):
    """Where a federation stands at one moment; :mod:`aggregator.server.screen` tells it."""

    @property
    def phase(self) -> str:
        """Phase of :class:`aggregator.rounds.synchronous.SynchronousRounds`."""

    @property
    def number(self) -> int:
        """The current round; see there too."""

    @property
    def ready(self) -> int:
        """Clients that are there and allowed to train."""

    @property
    def quorum(self) -> int:
        """Clients that a round needs to open."""

    @property
    def counted(self) -> int:
        """Updates of the round that count."""

    @property
    def wanted(self) -> int:
        """Updates that close it."""

    @property
    def seconds(self) -> float | None:
        """Until its deadline; ``None`` if there is none."""

    @property
    def paused(self) -> bool:
        """Whether no round opens until somebody lets the federation go on."""

    @property
    def waiting(self) -> str:
        """What it waits for, in a sentence; empty if for nothing in particular."""

    @property
    def stage(self) -> str:
        """Where an open secure round is, in a sentence; empty if there is none."""


Look = Callable[[], Standing]
"""Says where the federation stands now; called from several threads."""
