"""When a round opens, who is invited, and when it closes: rules without network, disk or clock.

:class:`SynchronousRounds` is told what happens and answers what to do. Time is passed in, in
seconds of a clock that only goes forward; whatever the calendar does, a deadline stays where it is.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aggregator.rounds.present_clients import PresentClients
from aggregator.settings import AggregatorSettings
from aggregator.strategies.sampling import sample
from shared.randomness import stream

Phase = Literal["waiting", "open", "aggregating", "finished"]
"""Waiting for a quorum; open for updates; closed and being aggregated; no further round."""

Verdict = Literal["welcome", "late", "duplicate", "uninvited", "foreign"]
"""What becomes of an update; but for the first, reasons of a message that refuses it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A round is to be announced: a new one, or one whose invitations have grown.

    Attributes
    ----------
    number
        The round, from 1.
    invited
        Who takes part, sorted.
    wanted
        How many updates close it before its deadline.
    """

    number: int
    invited: tuple[str, ...]
    wanted: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A round takes no more updates; those of ``counted`` are to be aggregated.

    Attributes
    ----------
    number
        The round.
    counted
        The clients whose updates count, sorted.
    """

    number: int
    counted: tuple[str, ...]


Step = Opened | Closed | None
"""What to do now: announce a round, aggregate one, or nothing."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A round that was under way when an earlier process ended.

    Attributes
    ----------
    number, invited, wanted
        As in :class:`Opened`.
    counted
        Clients whose updates had been accepted.
    closed
        Whether it had been closed already.
    """

    number: int
    invited: frozenset[str]
    wanted: int
    counted: frozenset[str]
    closed: bool = False


class SynchronousRounds:
    """The rounds of a federation.

    A round opens when a quorum is ready to train, one of them has something new to learn from, and
    the last round did not open just now; its clients are sampled by the seed. It closes when
    as many updates have been accepted as are wanted, or at its deadline. An invited client that
    leaves is waited for until then: it may come back. With fewer than ``min_updates`` at the
    deadline the round stays open for as long again; what was accepted stays, who was invited stays
    invited, and as many others are invited as have not answered, or are needed. Who is shut out
    counts no more in the open round, which needs its ``min_updates`` all the same.

    A secure round is closed by :meth:`close` alone: its deadlines are those of its stages.

    Parameters
    ----------
    settings
        The rules.
    ended
        Number of the last round that has ended; 0 before the first.
    interrupted
        The round after it, if it was under way: it goes on with the same clients. Its time begins
        anew.
    since_opened
        Seconds since the newest round opened; ``None`` before the first.

    Attributes
    ----------
    phase
        What it is doing.
    ended
        Number of the last round that has ended.
    present
        Who is there; whoever learns it, tells it.
    invited, counted
        Clients of the current round: invited, and those whose update was accepted.
    deadline
        When the open round is to close; ``None`` if none is open.
    paused
        Whether no round opens, whatever else; an open one goes on.
    """

    def __init__(
        self,
        settings: AggregatorSettings,
        ended: int = 0,
        interrupted: Interrupted | None = None,
        since_opened: float | None = None,
    ) -> None:
        self._settings = settings
        self._since_opened = since_opened
        self._opens_at = -math.inf
        self._stage_ends = -math.inf
        self.present = PresentClients()
        self.ended = ended
        self.paused = False
        self.phase: Phase = self._between_rounds()
        self.invited: frozenset[str] = frozenset()
        self.counted: frozenset[str] = frozenset()
        self.wanted = 0
        self.deadline: float | None = None
        if interrupted:
            self.invited, self.counted = interrupted.invited, interrupted.counted
            self.wanted = self._still_wanted(interrupted.wanted)
            self.phase = "aggregating" if interrupted.closed else "open"

    @property
    def number(self) -> int:
        """The current round or, while waiting, the next one; when finished, the last one."""
        return self.ended if self.phase == "finished" else self.ended + 1

    @property
    def ready(self) -> int:
        """How many clients are there and allowed to train."""
        return len(self.present.ready)

    @property
    def has_news(self) -> bool:
        """Whether there is something new to learn, or there need not be."""
        return bool(self.present.news) or self._settings.new_examples == 0

    @property
    def awaits_its_time(self) -> bool:
        """Whether the next round waits for nothing but its time."""
        quorum = self.ready >= self._settings.enough and not self.paused
        return self.phase == "waiting" and quorum and self.has_news

    @property
    def wake_at(self) -> float | None:
        """When to call :meth:`tick`; ``None``: only when something has happened."""
        return self._opens_at if self.awaits_its_time else self.deadline

    def start(self, now: float) -> Step:
        """Begin, or take up the round that was interrupted; called once, before all else."""
        if self._since_opened is not None:
            # The calendar may have been set back meanwhile.
            self._opens_at = self._earliest(now - max(0.0, self._since_opened))
        if self.phase == "aggregating":
            return self._closed()
        if self.phase == "open":
            self.go_on(now)
            return self._close_if_answered() or self._opened()
        return None

    def look(self, now: float) -> Step:
        """Look who is there, after somebody has come or has something new."""
        return self._open_if_due(now)

    def judge(self, client: str, number: int) -> Verdict:
        """Say what would become of a client's update for round ``number``."""
        if number <= self.ended:
            return "late"
        if number > self.number or self.phase == "waiting":
            return "foreign"
        if client in self.counted:
            return "duplicate"
        if self.phase == "aggregating":
            return "late"
        return "welcome" if client in self.invited else "uninvited"

    def accept(self, client: str) -> Step:
        """Count a client's update for the current round; it must be safe on the disk.

        Raises
        ------
        ValueError
            If it is not welcome: the caller did not ask :meth:`judge`.
        """
        verdict = self.judge(client, self.number)
        if verdict != "welcome":
            raise ValueError(f"the update of {client} is {verdict}")
        self.counted |= {client}
        self.present.learned(client)
        return self._close_if_answered()

    def tick(self, now: float) -> Step:
        """Look at the time; early calls are no harm."""
        if self.deadline is None:
            return self._open_if_due(now)
        if now < self.deadline:
            return None
        if self._settings.secure:
            # It goes on by its stages, each with a time of its own, and nobody comes to it later.
            # If this one cannot be closed now, it is tried again; its time is over all the same.
            self.deadline = now + self._settings.round_seconds
            return None
        if len(self.counted) >= self._settings.min_updates:
            return self._closed()
        self.deadline = now + self._settings.round_seconds
        others = sorted(self.present.ready - self.invited)
        missing = max(len(self.invited), self._settings.fewest) - len(self.counted)
        more = sample(others, missing, self._rng(len(self.invited)))
        if not more:
            return None
        self.invited |= set(more)
        return self._opened()

    def withdraw(self, client: str) -> Step:
        """Take back a client's invitation to the open round, and its update that counts.

        It closes with fewer updates than it wanted, but not with fewer than it needs: then it stays
        open until its deadline, when others are invited.
        """
        if self.phase != "open" or client not in self.invited:
            return None
        self.invited -= {client}
        self.counted -= {client}
        self.wanted = self._still_wanted(self.wanted)
        if not self.invited:
            return None
        return self._close_if_answered() or self._opened()

    def go_on(self, now: float) -> None:
        """Learn that an open round is at another stage, whose time begins."""
        if self.phase == "open":
            self.deadline = self._stage_ends = now + self._settings.round_seconds

    def hold_off(self) -> None:
        """Let no round open before the open one would have gone on without an answer.

        Else devices that decline one round after the other, or lie in it, use them up in a moment.
        """
        self._opens_at = max(self._opens_at, self._stage_ends)

    def hold(self, clients: Iterable[str]) -> None:
        """Learn whose masked updates of the open round are there; they count once it is closed."""
        if self.phase == "open":
            self.counted = frozenset(clients)

    def close(self, clients: Iterable[str]) -> Closed:
        """Count these clients alone, and take no more: the stages of a secure round are over.

        Raises
        ------
        ValueError
            If no round is open.
        """
        self._check_open()
        self.counted = frozenset(clients)
        for client in self.counted:
            self.present.learned(client)
        return self._closed()

    def abandon(self) -> None:
        """Take no more updates of the open round, which gets no model; :meth:`end` comes next.

        Raises
        ------
        ValueError
            If no round is open.
        """
        self._check_open()
        self.phase = "aggregating"
        self.deadline = None

    def end(self, now: float) -> Step:
        """Learn that the closed round has its model, or was given up: the next one may begin.

        Raises
        ------
        ValueError
            If no round is being aggregated.
        """
        if self.phase != "aggregating":
            raise ValueError(f"no round is being aggregated: {self.phase}")
        self.ended += 1
        self.phase = self._between_rounds()
        self.invited = self.counted = frozenset()
        return self._open_if_due(now)

    def _check_open(self) -> None:
        if self.phase != "open":
            raise ValueError(f"no round is open: {self.phase}")

    def _between_rounds(self) -> Phase:
        last = self._settings.rounds
        return "finished" if last is not None and self.ended >= last else "waiting"

    def _earliest(self, opened: float) -> float:
        """Say when a round may open after one that opened then."""
        return opened + self._settings.every if self._settings.every else -math.inf

    def _open_if_due(self, now: float) -> Step:
        if not self.awaits_its_time or now < self._opens_at:
            return None
        self.wanted = self._wanted()
        self.invited = self._drawn(self._settings.invitations(self.wanted))
        self.phase = "open"
        self.go_on(now)
        self._opens_at = self._earliest(now)
        return self._opened()

    def _drawn(self, invitations: int) -> frozenset[str]:
        """Draw who takes part; one with news among them, if that is what the round opens for."""
        ready, news = self.present.ready, self.present.news
        drawn = sample(sorted(ready), invitations, self._rng())
        if self._settings.new_examples and not news.intersection(drawn):
            rng = self._rng(0)
            drawn = sample(drawn, len(drawn) - 1, rng) + sample(sorted(news), 1, rng)
        return frozenset(drawn)

    def _wanted(self) -> int:
        """Say how many updates the round that opens wants: as the simulator does, but enough."""
        ready = len(self.present.ready)
        share = max(1, round(self._settings.fraction * ready))
        wanted = self._settings.clients_per_round or share
        return min(max(wanted, self._settings.fewest), ready)

    def _still_wanted(self, wanted: int) -> int:
        """Say how many updates are wanted of those who are still invited, some of whom may be gone.

        The ledger has what was wanted when the round opened.
        """
        return min(wanted, max(len(self.invited), self._settings.fewest))

    def _rng(self, *names: int) -> np.random.Generator:
        return stream(self._settings.seed, "sampling", self.ended + 1, *names)

    def _close_if_answered(self) -> Closed | None:
        answered = len(self.counted) >= self.wanted and not self._settings.secure
        return self._closed() if answered else None

    def _opened(self) -> Opened:
        return Opened(self.number, tuple(sorted(self.invited)), self.wanted)

    def _closed(self) -> Closed:
        self.phase = "aggregating"
        self.deadline = None
        return Closed(self.number, tuple(sorted(self.counted)))
