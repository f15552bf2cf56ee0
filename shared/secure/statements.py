"""What is derived and signed in a secure round: the same bytes on both sides."""

import hashlib
from collections.abc import Iterable

from shared.errors import SecureError
from shared.protocol.secure import DeviceKeys, Roster, Survivors
from shared.trust.exchange import both_halves, derived
from shared.trust.keys import PublicKey

_LABEL = b"chorus secure 1 "


def commitment_to(seed: bytes, identity: bytes, name: str) -> bytes:
    """Commit to the seed of a device's own mask: SHA-256, as the seed itself is random."""
    return hashlib.sha256(_LABEL + b"seed\0" + identity + name.encode() + b"\0" + seed).digest()


def mask_key(secret: bytes, other: bytes, identity: bytes, names: Iterable[str]) -> bytes:
    """Derive the key of the mask that two devices share, whichever of them asks.

    Raises
    ------
    TrustError
        If the other's public key is none.
    """
    purpose = _LABEL + b"mask\0" + _joined(sorted(names))
    return derived(both_halves(secret, other), identity, purpose, 32)


def seal_key(secret: bytes, other: bytes, identity: bytes, about: bytes) -> bytes:
    """Derive the key of what one device seals for another.

    Raises
    ------
    TrustError
        If the other's public key is none.
    """
    return derived(both_halves(secret, other), identity, about, 32)


def about_shares(identity: bytes, sender: str, receiver: str) -> bytes:
    """Name the shares that a device sends another: the round, the sender, the receiver."""
    return _LABEL + b"shares\0" + identity + _joined((sender, receiver))


def keys_statement(identity: bytes, name: str, keys: DeviceKeys) -> bytes:
    """Write what a device signs about its keys."""
    return _LABEL + b"keys\0" + identity + _entry(name, keys)


def survivors_statement(identity: bytes, roster: Roster, told: Survivors) -> bytes:
    """Write what a device signs about the survivors it was told, and the roster before them."""
    entries = b"".join(_entry(name, keys) for name, keys in sorted(roster.devices.items()))
    lists = _joined(told.sharers) + b"\0\0" + _joined(told.survivors)
    return _LABEL + b"survivors\0" + identity + hashlib.sha256(entries).digest() + lists


def check_round(identity: bytes, named: bytes) -> None:
    """Check that a message names this round; raises :class:`SecureError`."""
    if named != identity:
        raise SecureError("This message is of another secure round.", reason="foreign")


def check_keys(identity: bytes, name: str, keys: DeviceKeys, known: PublicKey) -> None:
    """Check that a device has signed its keys of this round.

    Raises
    ------
    SecureError
        If it has not.
    """
    if not known.verifies(keys.signature, keys_statement(identity, name, keys)):
        raise SecureError(
            f"The keys of {name} for this secure round are not signed by {name}.",
            "Somebody speaks in its name, or it was set up anew: invite it again.",
            reason="unsigned",
        )


def _entry(name: str, keys: DeviceKeys) -> bytes:
    return name.encode() + b"\0" + keys.seal + keys.mask + keys.commitment


def _joined(names: Iterable[str]) -> bytes:
    return "\0".join(names).encode()
