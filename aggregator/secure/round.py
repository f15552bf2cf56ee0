"""One secure round on the aggregator (Bonawitz et al., 2017, figure 4, with its signatures)."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from aggregator.secure.journal import DamagedJournalError, Journal
from aggregator.secure.reading import Reading
from aggregator.secure.unmasking import unmasked
from shared.errors import ProtocolError, SecureError, TrustError
from shared.protocol.secure import Consents, Roster, SealedShares, Survivors
from shared.secure import masked_update
from shared.secure.masks import Numbers
from shared.secure.terms import Stage, Terms, threshold_of
from shared.trust.keys import PublicKey

_NEXT: Final = {
    Stage.KEYS: Stage.SHARES,
    Stage.SHARES: Stage.MASKED,
    Stage.MASKED: Stage.CONSENT,
    Stage.CONSENT: Stage.UNMASKING,
    Stage.UNMASKING: Stage.DONE,
}

_HAVE: Final = {
    Stage.KEYS: "sent keys",
    Stage.SHARES: "sent shares",
    Stage.MASKED: "sent a masked update",
    Stage.CONSENT: "signed the survivors",
    Stage.UNMASKING: "revealed shares",
}


class SecureRound:
    """Takes devices' messages, a stage at a time, up to the sum of their updates or to a reason.

    Whoever carries the messages gives each to :meth:`take`, and ends a stage by :meth:`close`: when
    :attr:`awaited` is empty, or when it has waited long enough. Then :meth:`ask` has what each
    device is told next. Everything is in the journal before anything follows from it, the survivors
    among it; made again with the journal of a process that was killed, the round goes on from
    there, and says the same.

    Parameters
    ----------
    terms
        The round's.
    members
        The lasting keys of the devices that may take part. A journal that was begun has its own.
    journal
        Where it is kept.

    Attributes
    ----------
    stage
        What is waited for.
    abandoned
        Why the round was given up, if it was.
    members
        The lasting keys of the devices that may take part.
    masked
        SHA-256 of each masked update that was taken, in hexadecimal, by device.
    declined
        Who has said that it takes no part any more, in this process: nobody waits for it.

    Raises
    ------
    SecureError
        If the journal is of another round, or is damaged: the round is lost.
    """

    def __init__(self, terms: Terms, members: Mapping[str, PublicKey], journal: Journal) -> None:
        self.stage = Stage.KEYS
        self.abandoned: SecureError | None = None
        self._terms = terms
        self._journal = journal
        self._roster = Roster(secure_round=terms.identity, devices={})
        self._told = Survivors(secure_round=terms.identity, sharers=[], survivors=[])
        self._sealed: dict[str, dict[str, bytes]] = {}
        self._consents: dict[str, bytes] = {}
        self._total: Numbers = np.zeros(terms.length, np.uint32)
        self._heard: dict[str, Any] = {}
        self.masked: dict[str, str] = {}
        self.declined: set[str] = set()
        self._take_up(members)

    @property
    def awaited(self) -> frozenset[str]:
        """The devices that this stage waits for."""
        return frozenset(self._speakers - self._heard.keys() - self.declined)

    @property
    def sum(self) -> Numbers:
        """The sum of the survivors' updates modulo 2^bits, once the stage is ``DONE``."""
        if self.stage is not Stage.DONE:
            raise RuntimeError(f"there is no sum at the stage {self.stage}")
        return self._total

    @property
    def survivors(self) -> tuple[str, ...]:
        """The devices whose updates are in the sum; none before they are settled."""
        return tuple(self._told.survivors)

    @property
    def size(self) -> int:
        """Bytes of each masked update."""
        return masked_update.size(self._terms)

    def take(self, name: str, message: bytes) -> None:
        """Take what a device says; whoever carries it knows that this device has said it.

        Raises
        ------
        SecureError
            If it is refused; then nothing changes, and its reason is for the device.
        ProtocolError
            If it is no message of this stage.
        StorageError
            If the disk is full; then it may come again.
        """
        value = self._checked(name, message)
        self._journal.append(name, message)
        self._apply(name, value, message)

    def decline(self, name: str) -> None:
        """Learn that a device says no more in this round; what it has said stays.

        It is not written down: a device says it again to the next process.
        """
        if name in self.members:
            self.declined.add(name)

    def close(self) -> None:
        """End the stage with those who are there; with too few of them, abandon the round.

        Raises
        ------
        SecureError
            If the round is over.
        StorageError
            If the disk is full; then nothing has changed.
        """
        self._check_under_way()
        self._journal.append("", self._closing())
        self._close()

    def ask(self, name: str) -> bytes:
        """Give what a device is told in this stage, the same each time.

        Raises
        ------
        SecureError
            If it has no part in this stage.
        """
        self._check_speaker(name)
        identity = self._terms.identity
        match self.stage:
            case Stage.SHARES:
                return self._roster.encode()
            case Stage.MASKED:
                others = {
                    sender: sealed[name]
                    for sender, sealed in self._sealed.items()
                    if sender != name
                }
                return SealedShares(secure_round=identity, sealed=others).encode()
            case Stage.CONSENT:
                return self._told.encode()
            case Stage.UNMASKING:
                return Consents(secure_round=identity, signatures=self._consents).encode()
        raise SecureError("Devices begin a secure round with their keys.", reason="out-of-turn")

    def _take_up(self, members: Mapping[str, PublicKey]) -> None:
        """Begin the journal, or do again what it holds."""
        entries = self._journal.entries()
        try:
            beginning = next(entries, None)
        except DamagedJournalError as error:
            raise self._unusable("is damaged") from error
        if beginning is None:
            self._journal.append("", _beginning(self._terms, members))
        else:
            members = self._begun_with(beginning[1])
        self.members = members
        self._speakers = set(members)
        try:
            for name, message in entries:
                self._repeat(name, message)
        except (ProtocolError, SecureError, DamagedJournalError) as error:
            raise self._unusable("is damaged") from error

    def _repeat(self, name: str, message: bytes) -> None:
        if name:
            self._apply(name, self._checked(name, message), message)
        elif message == self._closing():
            self._close()
        else:
            raise self._unusable("is damaged")

    def _begun_with(self, beginning: bytes) -> dict[str, PublicKey]:
        try:
            members = _members(beginning)
        except (ValueError, TypeError, KeyError, AttributeError, TrustError) as error:
            raise self._unusable("is damaged") from error
        if beginning != _beginning(self._terms, members):
            raise self._unusable("is of another round")
        return members

    def _unusable(self, why: str) -> SecureError:
        return SecureError(
            f"The journal of a secure round, {self._journal.path}, {why}.",
            "That round is lost; the next one takes a new number.",
            reason="damaged",
        )

    def _check_under_way(self) -> None:
        if self.stage not in _NEXT:
            raise SecureError("This secure round is over.", reason="late")

    def _check_speaker(self, name: str) -> None:
        self._check_under_way()
        if name not in self._speakers:
            raise SecureError(
                f"{name} has no part in this stage of the secure round ({self.stage}).",
                "It came too late before, or was not invited; it takes part in the next round.",
                reason="late" if name in self.members else "uninvited",
            )

    def _checked(self, name: str, message: bytes) -> Any:
        self._check_speaker(name)
        if name in self._heard:
            raise SecureError(
                f"{name} has {_HAVE[self.stage]} in this secure round already.", reason="twice"
            )
        reading = Reading(self._terms, self.members, self._roster, self._told)
        return reading.of(self.stage, name, message, self._heard)

    def _apply(self, name: str, value: Any, message: bytes) -> None:
        if self.stage is Stage.MASKED:
            self.masked[name] = hashlib.sha256(message).hexdigest()
            # Only their sum is kept; the single ones are in the journal.
            self._total += value
            value = None
        self._heard[name] = value

    def _closing(self) -> bytes:
        return json.dumps({"closed": self.stage, "there": sorted(self._heard)}).encode()

    def _close(self) -> None:
        there, needed = len(self._heard), self._needed()
        if there < needed:
            self._abandon(
                SecureError(
                    f"Only {there} devices have {_HAVE[self.stage]} in this secure round; "
                    f"{needed} are needed.",
                    "Nothing was unmasked. Wait for more devices, or lower --at-least.",
                    reason="too-few",
                )
            )
            return
        try:
            self._settle()
        except SecureError as error:
            self._abandon(error)
            return
        self.stage = _NEXT[self.stage]
        self._speakers = set() if self.stage is Stage.DONE else set(self._heard)
        self._heard = {}

    def _needed(self) -> int:
        if self.stage is Stage.KEYS:
            return self._terms.needed(len(self._heard))
        if self.stage in (Stage.SHARES, Stage.MASKED):
            return self._terms.needed(len(self._roster.devices))
        return threshold_of(len(self._roster.devices))

    def _settle(self) -> None:
        """Keep what the stage that ends has brought."""
        there = dict(sorted(self._heard.items()))
        match self.stage:
            case Stage.KEYS:
                self._roster = self._roster.model_copy(update={"devices": there})
            case Stage.SHARES:
                self._sealed = there
            case Stage.MASKED:
                lists = {"sharers": sorted(self._speakers), "survivors": list(there)}
                self._told = self._told.model_copy(update=lists)
            case Stage.CONSENT:
                self._consents = there
            case _:
                self._total = unmasked(self._terms, self._total, self._roster, self._told, there)

    def _abandon(self, error: SecureError) -> None:
        self.abandoned = error
        self.stage = Stage.ABANDONED
        self._speakers, self._heard = set(), {}
        self._total = np.zeros(0, np.uint32)


def members_in(path: Path) -> dict[str, PublicKey]:
    """Give the members that the round of a journal was begun with; nobody without one."""
    if not path.exists():
        return {}
    journal = Journal(path)
    try:
        _, beginning = next(journal.entries(), ("", b""))
        return _members(beginning)
    except (ValueError, TypeError, KeyError, AttributeError, TrustError):
        return {}  # making the round says what is wrong with it
    finally:
        journal.close()


def _members(beginning: bytes) -> dict[str, PublicKey]:
    found = json.loads(beginning)
    return {name: PublicKey.of(key) for name, key in found["members"].items()}


def _beginning(terms: Terms, members: Mapping[str, PublicKey]) -> bytes:
    keys = {name: str(key) for name, key in sorted(members.items())}
    return json.dumps({"round": terms.identity.hex(), "members": keys}).encode()
