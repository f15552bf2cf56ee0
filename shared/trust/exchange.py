"""What two sides agree on over an open line: X25519 (RFC 7748), and keys made of it by HKDF."""

import secrets

from shared.errors import TrustError


def new_secret() -> bytes:
    """Draw one's half of the exchange of keys."""
    return secrets.token_bytes(32)


def public_half(secret: bytes) -> bytes:
    """Compute what the other side is given of one's half."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def both_halves(secret: bytes, other: bytes) -> bytes:
    """Compute the 32 bytes that both sides share.

    Parameters
    ----------
    secret
        This side's half.
    other
        What the other side has given of its half.

    Raises
    ------
    TrustError
        If what the other side has given is no such half.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        key = X25519PrivateKey.from_private_bytes(secret)
        return key.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as error:
        raise TrustError("What it gives to make a key of is of no use.") from error


def derived(material: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    """Make a key of what is secret but is no key yet: HKDF-SHA256 (RFC 5869).

    Parameters
    ----------
    material
        What is secret.
    salt
        Tells occasions apart; may be empty.
    purpose
        What the key is for: keys for different purposes say nothing of each other.
    length
        Bytes of the key.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt, purpose).derive(material)
