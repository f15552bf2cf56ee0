"""What ``aggregator serve`` shows while it serves: lines for a journal, a live table in a terminal.

It only looks: at the rounds, whose attributes may be read at any time, and at the ledger.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from aggregator.ledger import RoundRecord
from aggregator.rounds.federation import Federation
from aggregator.rounds.scoring import scores_of
from aggregator.rounds.synchronous import Phase
from aggregator.secure.progress import progress_of
from shared.command.log_bound import printable
from shared.errors import ChorusError

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

_SHOWN: Final = 8
"""Ended rounds in the table; `aggregator status` has all."""

_REFRESH: Final = 2.0
"""Times a second that the table is drawn anew."""

_MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class State:
    """Where a federation stands at one moment.

    Attributes
    ----------
    phase, number
        Of the current round; see :class:`aggregator.rounds.synchronous.SynchronousRounds`.
    ready, quorum
        Clients that are there and allowed to train; those that a round needs to open.
    invited, counted, wanted
        Clients of the round, and updates.
    seconds
        Until the deadline; ``None`` if there is none.
    asked
        New examples that one of the clients must have for the round to open; 0 if it has, or need
        not.
    opens_in
        Seconds until the round opens, if it waits for nothing else.
    paused
        Whether no round opens until somebody lets the federation go on.
    stage
        Where an open secure round is, in a sentence: its stage, and who is missing there.
    least
        Updates with which the round closes at its deadline; 0 for a secure one, which goes on by
        its stages.
    """

    phase: Phase
    number: int
    ready: int
    quorum: int
    invited: int
    counted: int
    wanted: int
    seconds: float | None
    asked: int = 0
    opens_in: float | None = None
    paused: bool = False
    stage: str = ""
    least: int = 1

    @property
    def waiting(self) -> str:
        """What it waits for, in a sentence; empty if not for clients, examples or its time."""
        missing = self.wanted - self.counted
        if self.opens_in is not None:
            when = datetime.now().astimezone() + timedelta(seconds=self.opens_in)
            return f"Round {self.number} opens at {when:%H:%M on %Y-%m-%d}."
        if self.phase == "waiting" and self.paused:
            return f"Paused: round {self.number} does not open until the page lets it (--web)."
        if self.phase == "waiting":
            needed = f"for {_count(self.quorum, 'client')}"
            if self.ready >= self.quorum and self.asked:
                needed = f"until one client has {_count(self.asked, 'new labelled example')}"
            ready = {0: "none is", 1: "1 is"}.get(self.ready, f"{self.ready} are")
            return f"Round {self.number} waits {needed}, {ready} ready to train."
        if self.phase == "open" and self.ready < missing:
            ready = {0: "no client is", 1: "only 1 client is"}.get(
                self.ready, f"only {self.ready} clients are"
            )
            return (
                f"Round {self.number} waits for {_count(missing, 'update')}, but "
                f"{ready} ready to train; {self._without_them}."
            )
        return ""

    @property
    def _without_them(self) -> str:
        """What becomes of an open round if nobody else answers."""
        if not self.least:
            return "its stages end without them, and with too few it is abandoned"
        if self.counted >= self.least:
            return "at its deadline it goes on without them"
        needed = _count(self.least, "update")
        return f"at its deadline it invites others and waits on, as it needs {needed}"


def look(federation: Federation, now: float) -> State:
    """Say where a federation stands; may be called from any thread.

    Parameters
    ----------
    federation
        What is served.
    now
        The time, of the clock that its service goes by.
    """
    rounds, settings = federation.rounds, federation.settings
    due = rounds.deadline
    return State(
        phase=rounds.phase,
        number=rounds.number,
        ready=rounds.ready,
        quorum=settings.enough,
        invited=len(rounds.invited),
        counted=len(rounds.counted),
        wanted=rounds.wanted,
        seconds=None if due is None else max(0.0, due - now),
        asked=0 if rounds.has_news else settings.new_examples,
        opens_in=max(0.0, (rounds.wake_at or now) - now) if rounds.awaits_its_time else None,
        paused=rounds.paused,
        stage=_stage(federation),
        least=0 if settings.secure else settings.min_updates,
    )


def _stage(federation: Federation) -> str:
    rounds = federation.rounds
    if federation.secure is None or rounds.phase != "open":
        return ""
    found = progress_of(federation.folder.secure_round(rounds.number))
    return found.sentence if found else ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A round that is over, in figures.

    Attributes
    ----------
    record
        The ledger's.
    updates, bytes
        How many updates counted, and the bytes of their files.
    uar
        UAR of the model that the round began with; ``None`` if nobody told.
    """

    record: RoundRecord
    updates: int
    bytes: int
    uar: float | None

    @property
    def line(self) -> str:
        """The round in a sentence."""
        number = self.record.number
        if self.record.state == "abandoned":
            return f"Round {number} was abandoned: {self.record.note}"
        facts = [f"{_count(self.updates, 'update')}, {self.bytes / _MB:.1f} MB"]
        if self.record.loss is not None:
            facts.append(f"training loss {self.record.loss:.3f}")
        if self.uar is not None:
            facts.append(f"UAR of the model it began with {self.uar:.3f}")
        return f"Round {number} is done: {', '.join(facts)}."


def ended(federation: Federation, number: int) -> Ended | None:
    """Read what a round came to; ``None`` if it is not over."""
    record = federation.ledger.round(number)
    if record is None or record.ended is None:
        return None
    updates = federation.ledger.updates(number)
    scores = scores_of(record.confusion, federation.settings.task.names)
    bytes_ = sum(update.bytes for update in updates)
    return Ended(record, len(updates), bytes_, None if scores is None else scores.uar)


class Screen:
    """A table in a terminal, drawn anew by itself; the log's plain lines stay out of its way.

    Parameters
    ----------
    federation
        What is served.
    console
        Where to draw.
    clock
        The clock that its service goes by.
    """

    def __init__(
        self,
        federation: Federation,
        console: "Console",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from rich.live import Live

        self._federation = federation
        self._clock = clock
        self._remark = ""
        self._ended: list[Ended] = []
        for record in reversed(federation.ledger.rounds(_SHOWN)):
            self.end_round(record.number)
        self._live = Live(
            console=console, get_renderable=self.view, refresh_per_second=_REFRESH, screen=False
        )

    def __enter__(self) -> Self:
        """Begin to draw; what is written to standard error from here on goes above the table."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time, and leave the table where it is."""
        self._live.stop()

    def end_round(self, number: int) -> None:
        """Learn that a round is over."""
        if found := ended(self._federation, number):
            self._ended = [*self._ended, found][-_SHOWN:]

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the log's plain lines for the table's foot; a ``logging.Filter``."""
        if record.levelno > logging.INFO:
            return True
        self._remark = printable(record.getMessage())
        return False

    def view(self) -> "Group":
        """Lay out where the federation stands now, and what was said last."""
        from rich.console import Group
        from rich.text import Text

        state = look(self._federation, self._clock())
        foot = "\n".join(filter(None, (self._remark, state.waiting, state.stage)))
        return Group(self._table(state), Text(foot))

    def _table(self, state: State) -> "Table":
        from rich.table import Table

        settings = self._federation.settings
        table = Table(
            title=f"{settings.federation}: {settings.model}, {settings.strategy}; "
            f"{_count(state.ready, 'client')} ready",
            title_justify="left",
        )
        for name in ("round", "state", "answered", "invited", "MB", "UAR before", "time"):
            table.add_column(name, justify="left" if name == "state" else "right")
        for each in self._ended:
            record = each.record
            table.add_row(
                str(record.number),
                record.state,
                f"{each.updates} of {record.wanted}",
                str(len(record.invited)),
                f"{each.bytes / _MB:.1f}",
                "" if each.uar is None else f"{each.uar:.3f}",
                _minutes((record.ended or 0.0) - record.opened),
            )
        if state.phase in ("open", "aggregating"):
            table.add_row(
                of_last(state.number, settings.rounds),
                state.phase,
                f"{state.counted} of {state.wanted}",
                str(state.invited),
                f"{self._bytes(state.number) / _MB:.1f}",
                "",
                "" if state.seconds is None else f"{_minutes(state.seconds)} left",
            )
        return table

    def _bytes(self, number: int) -> int:
        # The service says what is wrong with the ledger; drawing goes on.
        with suppress(ChorusError):
            return sum(update.bytes for update in self._federation.ledger.updates(number))
        return 0


def of_last(number: int, last: int | None) -> str:
    """Name a round, and the last one if there is one."""
    return str(number) if last is None else f"{number} of {last}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _minutes(seconds: float) -> str:
    whole = math.ceil(seconds)
    return f"{whole // 60}:{whole % 60:02}"
