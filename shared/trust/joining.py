"""What proves that a device was invited, and the password that both sides compute.

Nothing secret crosses. The code of the invitation (128 random bits) reaches the device outside of
the network. From it come, by HKDF-SHA256 (RFC 5869), the password of the account for guests, and
the key of an HMAC-SHA256 (RFC 2104) over all that the device asks with. The password of the
device's own account comes from an exchange of keys (X25519, RFC 7748) and the code: who finds the
link later cannot compute it.
"""

import base64
import hmac
import secrets
from typing import Final

from shared.trust.exchange import both_halves, derived
from shared.trust.keys import PublicKey

CODE_BYTES: Final = 16
"""Bytes of an invitation's code."""

_PASSWORD_BYTES: Final = 24

_LABEL: Final = b"chorus join 1 "


def new_code() -> bytes:
    """Draw an invitation's code."""
    return secrets.token_bytes(CODE_BYTES)


def guest_password(code: bytes) -> str:
    """Compute the password with which the holder of a code may ask to join."""
    return _password(code, b"", b"guest")


def account_password(code: bytes, secret: bytes, other: bytes, topic: str) -> str:
    """Compute the password of a device's own account, the same on both sides.

    Parameters
    ----------
    code
        The invitation's code.
    secret
        This side's half of the exchange.
    other
        What the other side has given of its half.
    topic
        Where the device has asked, which holds its federation and its name.

    Raises
    ------
    TrustError
        If what the other side has given is no such half.
    """
    return _password(both_halves(secret, other), code, b"account " + topic.encode())


def proof_of(
    code: bytes, topic: str, *, device: PublicKey, aggregator: PublicKey, half: bytes, nonce: bytes
) -> bytes:
    """Compute the 32 bytes which prove that who asks to join holds the code.

    Parameters
    ----------
    code
        The invitation's code.
    topic
        Where the device asks.
    device, aggregator
        The keys of both: no other can take the place of either.
    half
        What the device gives of its half of the exchange.
    nonce
        Tells this request from others.
    """
    from hashlib import sha256

    key = derived(code, b"", _LABEL + b"proof", sha256().digest_size)
    parts = (topic.encode(), b"\0", device.raw, aggregator.raw, half, nonce)
    return hmac.digest(key, _LABEL + b"".join(parts), "sha256")


def _password(material: bytes, salt: bytes, what: bytes) -> str:
    return base64.urlsafe_b64encode(
        derived(material, salt, _LABEL + what, _PASSWORD_BYTES)
    ).decode()
