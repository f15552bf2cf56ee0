"""What a device believes of a secure round, and what it does not."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shared.errors import SecureError
from shared.protocol.secure import Consents, DeviceKeys, Roster, SealedShares, Survivors
from shared.secure.masks import Numbers
from shared.secure.statements import check_keys, check_round
from shared.secure.terms import Terms, threshold_of
from shared.trust.keys import PublicKey

_LIAR: Final = (
    "Do not trust this aggregator with this federation before its operator has an answer."
)


def check_terms(terms: Terms, at_least: int) -> None:
    """Check that the sum is of as many as this device wants; raises :class:`SecureError`."""
    if terms.fewest <= at_least:
        raise SecureError(
            f"The sum of this secure round may be of {terms.fewest} devices; this device wants "
            f"at least {at_least} others in it.",
            "Raise --at-least on the aggregator, or lower --terms-fewest-others on the device.",
            reason="too-few",
        )


def check_update(terms: Terms, update: Numbers) -> None:
    """Check the update of this device itself; raises :class:`ValueError`."""
    if update.dtype != np.uint32 or update.shape != (terms.length,):
        raise ValueError(f"an update of {terms.length} values of uint32 is masked")
    if int(update.max()) >> terms.bits:
        raise ValueError(f"a value of the update takes more than {terms.bits} bits")


def check_roster(
    terms: Terms, roster: Roster, name: str, mine: DeviceKeys, known: Mapping[str, PublicKey]
) -> None:
    """Check that this device knows all others and all have signed; raises :class:`SecureError`."""
    devices, identity = roster.devices, terms.identity
    check_round(identity, roster.secure_round)
    _check_enough(len(devices), terms.needed(len(devices)), "take part in this secure round")
    if devices.get(name) != mine:
        raise SecureError(
            "The roster of this secure round has other keys of this device, or none.",
            "If this device was started anew, it takes part in the next round; if not, do not "
            "trust this aggregator with this federation before its operator has an answer.",
            reason="contradiction",
        )
    for other, keys in devices.items():
        if other not in known:
            raise _lie(f"This device does not know {other}, who is in this secure round's roster.")
        check_keys(identity, other, keys, known[other])
    if len({key for keys in devices.values() for key in (keys.seal, keys.mask)}) < 2 * len(devices):
        raise _lie("Two keys in the roster of this secure round are the same.")


def check_delivery(terms: Terms, shares: SealedShares, roster: Roster, name: str) -> None:
    """Check from whom shares have come; raises :class:`SecureError`."""
    check_round(terms.identity, shares.secure_round)
    if not shares.sealed.keys() <= roster.devices.keys() - {name}:
        raise _lie("Shares have come from devices that are not in this secure round's roster.")
    needed = terms.needed(len(roster.devices))
    _check_enough(len(shares.sealed) + 1, needed, "have sent shares in this secure round")


def check_survivors(
    terms: Terms, told: Survivors, roster: Roster, name: str, sharers: set[str]
) -> None:
    """Check whose updates are to be summed; raises :class:`SecureError`."""
    check_round(terms.identity, told.secure_round)
    survivors = set(told.survivors)
    if told.sharers != sorted(sharers) or not survivors <= sharers:
        raise _lie("The survivors of this secure round are not of those whose shares have come.")
    if told.survivors != sorted(survivors):
        raise _lie("A survivor of this secure round is named twice, or out of order.")
    needed = terms.needed(len(roster.devices))
    _check_enough(len(survivors), needed, "have sent a masked update in this secure round")
    if name not in survivors:
        raise SecureError(
            "This device's masked update is not in the sum of this secure round.",
            "It came too late; the device takes part in the next round.",
            reason="late",
        )


def check_consents(
    terms: Terms,
    consents: Consents,
    told: Survivors,
    roster: Roster,
    known: Mapping[str, PublicKey],
    statement: bytes,
) -> None:
    """Check that enough have signed what this device has; raises :class:`SecureError`."""
    check_round(terms.identity, consents.secure_round)
    signatures = consents.signatures
    if not signatures.keys() <= set(told.survivors):
        raise _lie("Somebody has signed the survivors of this secure round who is none of them.")
    for name, signature in signatures.items():
        if not known[name].verifies(signature, statement):
            raise _lie(f"{name} was told of other survivors in this secure round than this device.")
    needed = threshold_of(len(roster.devices))
    _check_enough(len(signatures), needed, "have signed the survivors of this secure round")


def _check_enough(there: int, needed: int, what: str) -> None:
    if there < needed:
        raise SecureError(
            f"Only {there} devices {what}; {needed} are needed.",
            "This device goes on with the next round.",
            reason="too-few",
        )


def _lie(problem: str) -> SecureError:
    return SecureError(problem, _LIAR, reason="contradiction")
