"""What the aggregator believes of a device's message in a secure round, and what it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import SecureError, TrustError
from shared.protocol.secure import (
    Consent,
    DeviceKeys,
    Keys,
    Revealed,
    Roster,
    SealedShares,
    Survivors,
)
from shared.round_settings import MOST_SECURE
from shared.secure import masked_update, statements
from shared.secure.masks import Numbers
from shared.secure.sharing import PRIME
from shared.secure.terms import Stage, Terms
from shared.trust.exchange import both_halves, new_secret
from shared.trust.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads what devices say, against what is settled so far.

    Attributes
    ----------
    terms
        The round's.
    members
        The lasting keys of all devices.
    roster
        Who takes part; nobody in the first stage.
    told
        What devices were told of survivors; nobody up to the third stage.
    """

    terms: Terms
    members: Mapping[str, PublicKey]
    roster: Roster
    told: Survivors

    def of(self, stage: Stage, name: str, message: bytes, heard: Mapping[str, Any]) -> Any:
        """Read a device's message.

        Parameters
        ----------
        stage
            What is waited for.
        name
            The device.
        message
            What it says.
        heard
            What others have said in this stage.

        Returns
        -------
        object
            Its keys (:class:`DeviceKeys`), its sealed shares by receiver, its masked update, its
            signature, or what it reveals (:class:`Revealed`): as the stage is.

        Raises
        ------
        SecureError
            If it is of another round, or cannot be true.
        ProtocolError
            If it is no message of this stage.
        """
        match stage:
            case Stage.KEYS:
                return self._keys(name, Keys.decode(message), heard)
            case Stage.SHARES:
                return self._shares(name, SealedShares.decode(message))
            case Stage.MASKED:
                return self._masked(message)
            case Stage.CONSENT:
                return self._consent(name, Consent.decode(message))
            case _:
                return self._revealed(name, Revealed.decode(message))

    def _keys(self, name: str, message: Keys, heard: Mapping[str, DeviceKeys]) -> DeviceKeys:
        statements.check_round(self.terms.identity, message.secure_round)
        if len(heard) >= MOST_SECURE:
            raise SecureError(
                f"A secure round takes {MOST_SECURE} devices, which are there already.",
                "It takes part in another round.",
                reason="full",
            )
        keys = message.keys
        statements.check_keys(self.terms.identity, name, keys, self.members[name])
        taken = {key for each in heard.values() for key in (each.seal, each.mask)}
        if keys.seal == keys.mask or taken & {keys.seal, keys.mask}:
            raise SecureError(f"A key of {name} is another's already.", reason="damaged")
        try:
            for key in (keys.seal, keys.mask):
                both_halves(new_secret(), key)
        except TrustError as error:
            raise SecureError(f"A key of {name} is of no use.", reason="damaged") from error
        return keys

    def _shares(self, name: str, message: SealedShares) -> dict[str, bytes]:
        statements.check_round(self.terms.identity, message.secure_round)
        if message.sealed.keys() != self.roster.devices.keys() - {name}:
            raise SecureError(
                f"{name} has not sent shares for each other device.", reason="damaged"
            )
        return message.sealed

    def _masked(self, message: bytes) -> Numbers:
        return masked_update.decoded(self.terms, message)

    def _consent(self, name: str, message: Consent) -> bytes:
        statements.check_round(self.terms.identity, message.secure_round)
        statement = statements.survivors_statement(self.terms.identity, self.roster, self.told)
        if not self.members[name].verifies(message.signature, statement):
            raise SecureError(f"{name} has signed other survivors.", reason="contradiction")
        return message.signature

    def _revealed(self, name: str, message: Revealed) -> Revealed:
        statements.check_round(self.terms.identity, message.secure_round)
        survivors = set(self.told.survivors)
        gone = set(self.told.sharers) - survivors
        if set(message.seeds) != survivors or set(message.keys) != gone:
            raise SecureError(
                f"{name} has not revealed a share of one secret of each device.", reason="damaged"
            )
        shares = (*message.seeds.values(), *message.keys.values())
        if any(int.from_bytes(share) >= PRIME for share in shares):
            raise SecureError(f"A share from {name} is no number of the field.", reason="damaged")
        return message
