"""A secure round on its way through its stages: what devices say, what they are told, its end.

It stands on the service's loop. All that is done to the round itself is done in a worker, one after
the other: it waits for the disk, and a mask takes its time.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from aggregator.rounds.federation import Federation
from aggregator.rounds.secure_rounds import OpenRound
from aggregator.rounds.synchronous import Opened
from aggregator.secure.progress import ASKED_FOR
from aggregator.secure.round import SecureRound
from shared.errors import ChorusError, ProtocolError, SecureError, StorageError
from shared.loop import Action, Loop, Worker
from shared.protocol.messages import Accepted, Message, Offer, Received, Refused
from shared.protocol.secure import Declined, kind_of
from shared.secure.terms import Stage
from shared.secure_round import DECLINES, DEVICES_SAY
from shared.storage.files import storage_errors
from shared.trust.keys import PublicKey
from shared.trust.signing import unsigned

log = logging.getLogger(__name__)

_ORDER: Final = tuple(Stage)

_LIES: Final = frozenset({"damaged", "unsigned", "contradiction"})
"""Reasons of what no honest device says. It would say the same again, and again, until the stage
has used up its time."""

_NO_SUM: Final = "Its masked update counts in no sum: the secure round was abandoned."


class _Now(NamedTuple):
    """How a round stands after something was done to it.

    Attributes
    ----------
    stage
        Its stage.
    moved
        Whether it was another before.
    told
        What devices are to be told.
    masked
        SHA-256 of the masked updates that are there, by device.
    """

    stage: Stage
    moved: bool
    told: Mapping[str, bytes]
    masked: Mapping[str, str]


class SecureStages:
    """Takes the open round through its stages.

    Parameters
    ----------
    federation
        Whose rounds.
    keys
        Gives the lasting keys of all members.
    loop, worker
        What it stands on, and where the round is worked on.
    tell
        Sends a message, as it is, to a client.
    reply
        Sends a message to a client.
    reject
        Told of a client, and what is wrong with it.
    done
        Told that the sum is there.
    given_up
        Told why the round is to be given up, and with ``known`` that its sum may be known.
    later
        Does something again when a full disk may have room.
    """

    def __init__(  # noqa: PLR0913 -- most are the service's functions
        self,
        federation: Federation,
        keys: Callable[[], Mapping[str, PublicKey]],
        *,
        loop: Loop,
        worker: Worker,
        tell: Callable[[str, bytes], object],
        reply: Callable[[str, Message], object],
        reject: Callable[[str, str], object],
        done: Callable[[tuple[str, ...]], None],
        given_up: Callable[..., None],
        later: Callable[[Action], None],
    ) -> None:
        self._federation = federation
        self._keys = keys
        self._loop = loop
        self._worker = worker
        self._tell = tell
        self._reply = reply
        self._reject = reject
        self._done = done
        self._given_up = given_up
        self._later = later
        self._round: SecureRound | None = None
        self._stage = Stage.KEYS
        self._masked: Mapping[str, str] = {}

    def open(self, opened: Opened, then: Action) -> None:
        """Open the secure part of a round, or take it up where an earlier process was.

        It is done in the worker: a journal of many devices is read and checked for seconds.

        Parameters
        ----------
        opened
            The round.
        then
            What comes when it is open.
        """
        if not self._is_open(opened.number):
            return  # on a full disk it waited, and it was given up meanwhile
        members = self._keys()
        keys = {name: members[name] for name in opened.invited if name in members}

        def failed(error: ChorusError) -> None:
            if not self._is_open(opened.number):
                return  # it was given up meanwhile
            if isinstance(error, StorageError):
                self._later(partial(self.open, opened, then))
            elif isinstance(error, SecureError):
                # Those who were shut out just now may still be drawn.
                self._federation.rounds.hold_off()
                # How far a journal had come that cannot be read, nobody knows.
                self._given_up(error.message, known=error.reason == "damaged")
                return
            raise error

        make = partial(self._federation.secure_round, opened.number, keys)
        self._worker.do(make, partial(self._opened, opened.number, then), failed)

    def _is_open(self, number: int) -> bool:
        rounds = self._federation.rounds
        return (rounds.phase, rounds.number) == ("open", number)

    def _opened(self, number: int, then: Action, found: OpenRound) -> None:
        secure = self._federation.secure
        if secure is None or not self._is_open(number):
            self._worker.submit(found.journal.close)  # it was given up meanwhile
            return
        secure.begin(found)
        self._round = round_ = found.round
        self._stage, self._masked = round_.stage, dict(round_.masked)
        then()
        self._do(round_, lambda: _look(round_, round_.stage, again=True))

    def hear(self, client: str, payload: bytes) -> bool:
        """Take what a device says in words, if it is of a stage; say whether it is."""
        message = unsigned(payload)
        kind = kind_of(message)
        if kind == DECLINES:
            self._declined(client, Declined.decode(message))
            return True
        due = DEVICES_SAY.get(kind)
        if due is None:
            return False
        if found := self._round:
            self._do(found, lambda: _heard(found, client, due, message), client)
        return True

    def received(self, client: str, offer: Offer) -> bool:
        """Say that a masked update which is offered is there already, if it is."""
        if self._masked.get(client) != offer.update:
            return False
        self._reply(client, Received(update=offer.update, ranges=[(0, offer.size)], window=0))
        return True

    def take(self, client: str, update: str, path: Path) -> Refused | None:
        """Take a masked update that has arrived, in the worker; say why if it is refused.

        Raises
        ------
        StorageError
            If the disk is full, or the file cannot be read.
        """
        found = self._round
        if found is None or found.stage is not Stage.MASKED:
            sentence = "Masked updates are not due now."
            return Refused(update=update, reason="late", sentence=sentence)
        with storage_errors(path):
            message = path.read_bytes()
        try:
            now = _heard(found, client, Stage.MASKED, message)
        except (SecureError, ProtocolError) as error:
            self._loop.put(partial(self._wait_no_more, found, client))
            reason = error.reason if isinstance(error, SecureError) else "invalid"
            return Refused(update=update, reason=reason, sentence=error.message[:500])
        self._loop.put(partial(self._went_on, found, now))
        return None

    def time_is_up(self) -> None:
        """End the stage with those who are there."""
        if (found := self._round) is None:
            return
        stage = self._stage

        def close() -> _Now:
            if found.stage is stage:
                found.close()
            return _look(found, stage)

        self._do(found, close)

    def end(self, *, summed: bool) -> None:
        """Tell those whose masked updates are there what became of the round, which is over."""
        found, masked = self._round, self._masked
        self._round, self._masked = None, {}
        if secure := self._federation.secure:
            self._worker.submit(secure.end())
        for client, update in masked.items():
            if summed and found and client in found.survivors:
                self._reply(client, Accepted(update=update))
            else:
                self._reply(client, Refused(update=update, reason="abandoned", sentence=_NO_SUM))

    def _declined(self, client: str, word: Declined) -> None:
        """Wait for a device no more that says so itself."""
        found, ledger, rounds = self._round, self._federation.ledger, self._federation.rounds
        if found is not None and (word.run, word.round) == (ledger.run, rounds.number):
            self._wait_no_more(found, client)

    def _wait_no_more(self, found: SecureRound, client: str) -> None:
        """Go on without a device that has declined, or has said what cannot be true."""
        number = self._federation.rounds.number

        def decline() -> _Now:
            stage = found.stage
            if client in found.awaited:
                log.info("Round %d: %s takes no part in it.", number, client)
            found.decline(client)
            return _look(found, stage)

        self._do(found, decline)

    def _do(self, found: SecureRound, work: Callable[[], _Now], client: str = "") -> None:
        """Do something to the round in the worker, as long as it is the open one."""
        if found is not self._round:
            return  # its journal may be closed

        def failed(error: ChorusError) -> None:
            if found is not self._round:
                return  # it was given up meanwhile
            if isinstance(error, SecureError | ProtocolError):
                if client:
                    self._reject(client, error.message)
                    if isinstance(error, ProtocolError) or error.reason in _LIES:
                        self._wait_no_more(found, client)
                return
            if isinstance(error, StorageError):
                self._later(partial(self._do, found, work, client))
            raise error

        self._worker.do(work, partial(self._went_on, found), failed)

    def _went_on(self, found: SecureRound, now: _Now) -> None:
        if found is not self._round:
            return  # it was given up meanwhile
        self._masked = now.masked
        rounds = self._federation.rounds
        rounds.hold(now.masked)
        for client, message in now.told.items():
            self._tell(client, message)
        if now.stage is self._stage and not now.moved:
            return
        self._stage = now.stage
        if now.stage is Stage.DONE:
            self._done(found.survivors)
        elif now.stage is Stage.ABANDONED:
            reason = found.abandoned
            rounds.hold_off()
            self._given_up(reason.message if reason else "")
        else:
            asked = len(found.awaited)
            log.info(
                "Round %d: %d devices are asked for %s.", rounds.number, asked, ASKED_FOR[now.stage]
            )
            rounds.go_on(self._loop.clock())


def _heard(found: SecureRound, client: str, due: Stage, message: bytes) -> _Now:
    """Take what a device says; one that repeats what is over has not heard what came next."""
    before = found.stage
    if due is before:
        try:
            found.take(client, message)
        except SecureError as error:
            if error.reason != "twice":
                raise
    elif _ORDER.index(due) > _ORDER.index(before):
        raise SecureError(f"{client} is early in this secure round.", reason="out-of-turn")
    now = _look(found, before)
    if due is not before and not now.told and client in found.awaited:
        return now._replace(told={client: found.ask(client)})
    return now


def _look(found: SecureRound, before: Stage, *, again: bool = False) -> _Now:
    """End the stage if nobody is awaited; say how the round stands."""
    while found.stage not in (Stage.DONE, Stage.ABANDONED) and not found.awaited:
        found.close()
    moved = found.stage is not before or again
    told = {}
    if moved and found.stage not in (Stage.KEYS, Stage.DONE, Stage.ABANDONED):
        told = {name: found.ask(name) for name in sorted(found.awaited)}
    return _Now(found.stage, moved, told, dict(found.masked))
