"""A device's part in one secure round (Bonawitz et al., 2017, figure 4, with its signatures)."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_client.secure import checks
from edge_client.secure.given import GivenRounds
from edge_client.secure.identity import Identity
from shared.errors import SecureError
from shared.protocol.secure import (
    SHARE_BYTES,
    Consent,
    Consents,
    DeviceKeys,
    Keys,
    OfRound,
    Revealed,
    Roster,
    SealedShares,
    Survivors,
)
from shared.secure import masked_update, statements
from shared.secure.masks import Numbers, mask_of, reduced
from shared.secure.sealing import opened, seal
from shared.secure.sharing import SECRET_BYTES, Draw, split
from shared.secure.terms import Stage, Terms, threshold_of
from shared.trust.exchange import public_half
from shared.trust.keys import SIGNATURE_BYTES

_ORDER: Final = tuple(Stage)

_UNSIGNED: Final = bytes(SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Drawn anew for each round, never written to a disk."""

    seal: bytes
    mask: bytes
    seed: bytes


_ERASED: Final = _Secrets(b"", b"", b"")


class SecureClient:
    """Takes a device through one round, a method a stage, in their order.

    What is refused ends the device's part: its secrets are dropped, and every later call is
    refused. The others can go on without it, as without a device that was switched off. A call out
    of turn changes nothing.

    Parameters
    ----------
    terms
        The round's.
    identity
        The device, and whom it knows.
    given
        What it remembers of rounds.
    draw
        Where randomness comes from: the system's.

    Raises
    ------
    SecureError
        If the round may be a sum of too few, or the device has given an update in it already.
    """

    def __init__(
        self,
        terms: Terms,
        identity: Identity,
        given: GivenRounds,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        checks.check_terms(terms, identity.at_least)
        given.check(terms)
        self.stage = Stage.KEYS
        self._terms = terms
        self._round = terms.identity
        self._me = identity
        self._given = given
        self._draw = draw
        self._secrets = _Secrets(draw(SECRET_BYTES), draw(SECRET_BYTES), draw(SECRET_BYTES))
        self._keys = self._signed_keys()
        self._roster = Roster(secure_round=self._round, devices={})
        self._shares: dict[str, bytes] = {}
        self._told = Survivors(secure_round=self._round, sharers=[], survivors=[])

    @property
    def guaranteed(self) -> int:
        """Devices that are in the sum at least, of those in the roster that it was told."""
        return self._terms.needed(len(self._roster.devices))

    def misses(self, due: Stage, message: bytes) -> bool:
        """Say whether a message is of a later stage of this round than this device is at.

        Then this device has answered earlier stages by a process that is gone, with its secrets.

        Raises
        ------
        ProtocolError
            If it is no message of a secure round.
        """
        later = _ORDER.index(due) > _ORDER.index(self.stage)
        return later and OfRound.decode(message).secure_round == self._round

    def keys(self) -> bytes:
        """Give the keys of this round, signed (stage 1)."""
        with self._step(Stage.KEYS, Stage.SHARES):
            return Keys(secure_round=self._round, keys=self._keys).encode()

    def shares(self, roster: bytes) -> bytes:
        """Check who takes part; give shares of both secrets, sealed for each of them (stage 2).

        Raises
        ------
        SecureError
            If the roster cannot be checked, or is too short.
        ProtocolError
            If it is no roster.
        """
        with self._step(Stage.SHARES, Stage.MASKED):
            self._roster = Roster.decode(roster)
            checks.check_roster(
                self._terms, self._roster, self._me.name, self._keys, self._me.known
            )
            names = sorted(self._roster.devices)
            count, threshold = len(names), threshold_of(len(names))
            seeds = split(self._secrets.seed, threshold, count, self._draw)
            keys = split(self._secrets.mask, threshold, count, self._draw)
            pairs = {name: seeds[i] + keys[i] for i, name in enumerate(names)}
            self._shares[self._me.name] = pairs.pop(self._me.name)
            sealed = {name: self._sealed(name, pair) for name, pair in pairs.items()}
            return SealedShares(secure_round=self._round, sealed=sealed).encode()

    def masked(self, delivery: bytes, update: Numbers) -> bytes:
        """Open the others' shares; give the update behind its masks (stage 3).

        It is written down before that this device has given one in this round.

        Parameters
        ----------
        delivery
            Shares from the others, sealed.
        update
            uint32, shape (``terms.length``,), each value below 2^``terms.bits``. Weights, counts
            and whatever else is to be summed are in it.

        Raises
        ------
        SecureError
            If a share does not open, too few devices have sent one, or an update was given before.
        ProtocolError
            If it is no delivery.
        StorageError
            If the disk is full: nothing is given.
        ValueError
            If the update is not such a vector.
        """
        checks.check_update(self._terms, update)
        with self._step(Stage.MASKED, Stage.CONSENT):
            shares = SealedShares.decode(delivery)
            checks.check_delivery(self._terms, shares, self._roster, self._me.name)
            for name, sealed in sorted(shares.sealed.items()):
                self._shares[name] = self._opened(name, sealed)
            masked = self._masked(update)
            self._given.take(self._terms)
            return masked_update.encoded(self._terms, masked)

    def consent(self, survivors: bytes) -> bytes:
        """Check whose updates are to be summed; sign that this device was told so (stage 4).

        Raises
        ------
        SecureError
            If they are too few, not those that were there, or this device is not among them.
        ProtocolError
            If it is no list of survivors.
        """
        with self._step(Stage.CONSENT, Stage.UNMASKING):
            self._told = Survivors.decode(survivors)
            checks.check_survivors(
                self._terms, self._told, self._roster, self._me.name, set(self._shares)
            )
            return Consent(
                secure_round=self._round, signature=self._me.key.sign(self._statement())
            ).encode()

    def reveal(self, consents: bytes) -> bytes:
        """Check that enough were told the same; give what takes the masks off the sum (stage 5).

        Raises
        ------
        SecureError
            If they are too few, or one of them was told other survivors.
        ProtocolError
            If they are no consents.
        """
        with self._step(Stage.UNMASKING, Stage.DONE):
            checks.check_consents(
                self._terms,
                Consents.decode(consents),
                self._told,
                self._roster,
                self._me.known,
                self._statement(),
            )
            survivors = set(self._told.survivors)
            return Revealed(
                secure_round=self._round,
                seeds={
                    name: pair[:SHARE_BYTES]
                    for name, pair in self._shares.items()
                    if name in survivors
                },
                keys={
                    name: pair[SHARE_BYTES:]
                    for name, pair in self._shares.items()
                    if name not in survivors
                },
            ).encode()

    @contextmanager
    def _step(self, due: Stage, following: Stage) -> Iterator[None]:
        if self.stage is not due:
            raise SecureError(
                f"This device is not asked for {due} at this stage of the secure round "
                f"({self.stage}).",
                "It has answered already, or takes no part any more.",
                reason="out-of-turn",
            )
        self.stage = Stage.ABANDONED
        try:
            yield
            self.stage = following
        finally:
            if self.stage not in (Stage.SHARES, Stage.MASKED):
                self._secrets = _ERASED
            if self.stage in (Stage.ABANDONED, Stage.DONE):
                self._shares = {}

    def _signed_keys(self) -> DeviceKeys:
        unsigned = DeviceKeys(
            seal=public_half(self._secrets.seal),
            mask=public_half(self._secrets.mask),
            commitment=statements.commitment_to(self._secrets.seed, self._round, self._me.name),
            signature=_UNSIGNED,
        )
        statement = statements.keys_statement(self._round, self._me.name, unsigned)
        return unsigned.model_copy(update={"signature": self._me.key.sign(statement)})

    def _sealed(self, receiver: str, pair: bytes) -> bytes:
        about = statements.about_shares(self._round, self._me.name, receiver)
        return seal(self._seal_key(receiver, about), pair, about)

    def _opened(self, sender: str, sealed: bytes) -> bytes:
        about = statements.about_shares(self._round, sender, self._me.name)
        try:
            return opened(self._seal_key(sender, about), sealed, about)
        except ValueError as error:
            raise SecureError(
                f"The shares from {sender} do not open in this secure round.",
                "They are of another round, or were changed on their way.",
                reason="unsealed",
            ) from error

    def _seal_key(self, other: str, about: bytes) -> bytes:
        theirs = self._roster.devices[other].seal
        return statements.seal_key(self._secrets.seal, theirs, self._round, about)

    def _masked(self, update: Numbers) -> Numbers:
        """Add the device's own mask and, for each other that shared, that of the pair."""
        length, bits = self._terms.length, self._terms.bits
        total: Numbers = update + mask_of(self._secrets.seed, length, bits)
        for other in self._shares.keys() - {self._me.name}:
            theirs = self._roster.devices[other].mask
            names = (self._me.name, other)
            key = statements.mask_key(self._secrets.mask, theirs, self._round, names)
            # The first of a pair adds what the second subtracts.
            change = np.add if self._me.name < other else np.subtract
            change(total, mask_of(key, length, bits), out=total)
        return reduced(total, bits)

    def _statement(self) -> bytes:
        return statements.survivors_statement(self._round, self._roster, self._told)
