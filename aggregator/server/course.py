"""The course of the rounds: what follows from their rules, on the disk and for the clients."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened, Step
from aggregator.server.attendance import Attendance
from aggregator.server.farewell import Farewell
from aggregator.server.receiving import Receiving
from aggregator.server.rejections import Rejections
from aggregator.server.secure_stages import SecureStages
from aggregator.server.sending import Sending
from shared.errors import ChorusError, FederationError, StorageError
from shared.loop import Action, Loop, Worker
from shared.secure.terms import Stage

log = logging.getLogger(__name__)

_NAMED: Final = 10
"""Clients that a sentence names."""


class Course:
    """Does what the rules of rounds say; all of it in the loop's thread.

    Parameters
    ----------
    federation
        What lies on the disk, and the rules.
    receiving, sending, attendance, rejections, farewell
        Parts of the service that a round's beginning or end concerns.
    stages
        What secure rounds go through, where they are secure.
    loop, arithmetic
        What it stands on, and the worker for what takes long.
    announce
        Tells everybody where the federation stands.
    changed
        Takes note that there is something new to show.
    later
        Does something again after a while.
    on_round
        Told of each round that has ended, with the new version or ``None`` if it was abandoned.
    """

    def __init__(  # noqa: PLR0913 -- the parts of the service
        self,
        federation: Federation,
        *,
        receiving: Receiving,
        sending: Sending,
        attendance: Attendance,
        rejections: Rejections,
        farewell: Farewell,
        stages: SecureStages | None,
        loop: Loop,
        arithmetic: Worker,
        announce: Callable[[], None],
        changed: Callable[[], None],
        later: Callable[[Action], None],
        on_round: Callable[[int, Version | None], None],
    ) -> None:
        self._federation = federation
        self._rounds = federation.rounds
        self._receiving = receiving
        self._sending = sending
        self._attendance = attendance
        self._rejections = rejections
        self._farewell = farewell
        self._stages = stages
        self._loop = loop
        self._arithmetic = arithmetic
        self._announce = announce
        self._changed = changed
        self._later = later
        self._on_round = on_round
        self._unwritten: Opened | None = None
        self._lost = 0
        """The open round that is to be given up, once the ledger takes it."""

    @property
    def unwritten(self) -> bool:
        """Whether the open round is not written down yet: nobody is told of it."""
        return self._unwritten is not None

    def follow(self, step: Step) -> None:
        """Do what the rules say."""
        match step:
            case Opened():
                self._unwritten = step
                self._open(step)
            case Closed():
                self._unwritten = None
                log.info("Round %d: its updates are aggregated.", step.number)
                self._aggregate(step)

    def deadline_passed(self) -> None:
        """Open the next round, close this one, or say that it goes on, and for whom it waits."""
        rounds = self._rounds
        was_open = rounds.phase == "open"
        step = rounds.tick(self._loop.clock())
        if was_open and self._stages:
            self._stages.time_is_up()
            return
        if was_open and rounds.phase == "open":
            log.warning(
                "Round %d has %d updates at its deadline, which is too few: it stays open for as "
                "long again. It waits for %s.",
                rounds.number,
                len(rounds.counted),
                _named(sorted(rounds.invited - rounds.counted)) or "others to come",
            )
            if step is None:
                self._announce()
        self.follow(step)

    def _open(self, opened: Opened) -> None:
        """Write down a round, or who is invited to it now, before it is announced."""
        if self._unwritten is not opened:
            return  # on a full disk it waited, and meanwhile it was given up, or invites others
        try:
            self._federation.open_round(opened)
        except StorageError:
            self._later(partial(self._open, opened))
            raise
        if self._stages:
            self._stages.open(opened, partial(self._opened, opened))
        else:
            self._opened(opened)

    def _opened(self, opened: Opened) -> None:
        self._unwritten = None
        clients = "1 client" if len(opened.invited) == 1 else f"{len(opened.invited)} clients"
        log.info("Round %d is open for %s.", opened.number, clients)
        self._announce()
        self._changed()

    def _aggregate(self, closed: Closed) -> None:
        def failed(error: ChorusError) -> None:
            if isinstance(error, StorageError):
                self._later(partial(self._aggregate, closed))
            raise error

        work = partial(self._federation.close_round, closed)
        self._arithmetic.do(work, partial(self._aggregated, closed.number), failed)

    def _aggregated(self, number: int, version: Version | None) -> None:
        if self._stages:
            self._stages.end(summed=version is not None)
        self._receiving.clear()
        self._rejections.forget()
        self._sending.round_ended()
        self._sending.serve()
        step = self._rounds.end(self._loop.clock())
        self._on_round(number, version)
        self._farewell.asked()
        if step is None:
            self._announce()
        self.follow(step)
        self._changed()

    def _abandoned(self) -> None:
        """Go on after the open round, which the ledger has as abandoned."""
        self._unwritten = None  # it may be on its way to being opened
        self._rounds.abandon()
        self._aggregated(self._rounds.number, None)

    def shut_out(self, client: str) -> None:
        """Drop what a client has under way, and what counts of it in the open round."""
        self._attendance.shut_out(client)
        self._receiving.drop(client)
        if not self._stages:
            step = self._federation.withdraw(client)
            if self._rounds.phase == "open" and not self._rounds.invited:
                self._abandoned()
            self.follow(step)
        elif client in self._rounds.invited:
            self.give_up(f"{client} was shut out, or has another key.", known=self._may_be_known())
        self._changed()

    def _may_be_known(self) -> bool:
        """Say whether the sum of the open secure round may be known.

        It may while shares to unmask it come in and before this thread has heard of the last, and
        as long as nobody has read what an earlier process had of it.
        """
        secure = self._federation.secure
        begun = secure.round if secure else None
        return begun is None or begun.stage in (Stage.UNMASKING, Stage.DONE)

    def give_up(self, reason: str, *, known: bool = False) -> None:
        """Give the open secure round up: nothing of it is unmasked; the next has a new number.

        ``known``: its sum may be known all the same.
        """
        number = self._rounds.number
        if self._rounds.phase == "open" and self._lost != number:
            self._lost = number
            self._give_up(number, reason, known=known)

    def _give_up(self, number: int, reason: str, *, known: bool) -> None:
        if (self._rounds.phase, self._rounds.number) != ("open", number):
            return  # on a full disk it waited, and meanwhile it has ended otherwise
        try:
            self._federation.give_up(number, reason, known=known)
        except StorageError:
            self._later(partial(self._give_up, number, reason, known=known))
            raise
        log.warning("Round %d is abandoned: %s", number, reason)
        self._abandoned()

    def roll_back(self, number: int) -> Version:
        """Make the model after a round current again; an open round is abandoned.

        Raises
        ------
        FederationError
            If there is no such model, its files are no longer kept, or a round is being aggregated.
        StorageError
            If the disk is full.
        """
        rounds = self._rounds
        if rounds.phase == "aggregating" or self.unwritten:
            raise FederationError(
                f"Round {rounds.number} is being written down.", "Try again in a moment."
            )
        version = self._federation.roll_back(number, known=self._may_be_known())
        if rounds.phase == "open":
            self._abandoned()
        else:
            self._sending.serve()
            self._announce()
            self._changed()
        return version

    def pause(self, *, paused: bool) -> None:
        """Let no round open, or let them open again; an open one goes on to its end."""
        self._federation.pause(paused=paused)
        self.follow(self._rounds.look(self._loop.clock()))
        self._changed()


def _named(clients: Sequence[str]) -> str:
    """List clients in a sentence, not too many of them."""
    more = len(clients) - _NAMED
    return ", ".join(clients[:_NAMED]) + (f" and {more} more" if more > 0 else "")
