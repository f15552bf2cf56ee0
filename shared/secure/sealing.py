"""What one device tells another through the aggregator, which cannot read or change it.

ChaCha20-Poly1305 (RFC 8439). The key is for one message in one direction, so the nonce is zero.
"""

from typing import Final

NONCE: Final = bytes(12)
"""What each key is used with, once."""


def seal(key: bytes, message: bytes, about: bytes, nonce: bytes = NONCE) -> bytes:
    """Encrypt a message.

    Parameters
    ----------
    key
        32 bytes, used for this message only.
    message
        What is told.
    about
        What the message belongs to: it opens with the same only.
    nonce
        12 bytes; others than zero only for published vectors.
    """
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(nonce, message, about)


def opened(key: bytes, sealed: bytes, about: bytes, nonce: bytes = NONCE) -> bytes:
    """Decrypt a message; the parameters are those of :func:`seal`.

    Raises
    ------
    ValueError
        If it was sealed with another key, about something else, or was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, about)
    except InvalidTag as error:
        raise ValueError("it does not open") from error
