"""Keys to sign with: Ed25519 (RFC 8032)."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import TrustError
from shared.storage.files import read_small, replacing
from shared.storage.owners import denied

KEY_BYTES: Final = 32
"""Bytes of a public key."""

SIGNATURE_BYTES: Final = 64
"""Bytes of a signature."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What others know somebody by.

    Attributes
    ----------
    raw
        Its 32 bytes.

    Raises
    ------
    ValueError
        If there are not 32 of them.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(self.raw)}")

    @classmethod
    def of(cls, text: str) -> "PublicKey":
        """Read a key that is written in hexadecimal; raises :class:`ValueError` if it is none."""
        return cls(bytes.fromhex(text))

    def __str__(self) -> str:
        return self.raw.hex()

    @property
    def short(self) -> str:
        """The first digits, for people to compare."""
        return self.raw.hex()[:16]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether the owner of the key has signed a message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SecretKey:
    """A key to sign with.

    Parameters
    ----------
    seed
        Its 32 bytes.

    Attributes
    ----------
    public
        What others know it by.
    """

    def __init__(self, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Sign a message; the same message has the same 64 bytes each time."""
        return self._key.sign(message)

    @property
    def pem(self) -> bytes:
        """The key as text (PEM, PKCS #8), for :meth:`read`."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @classmethod
    def new(cls) -> "SecretKey":
        """Draw a key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def kept(cls, path: Path) -> "SecretKey":
        """Read the key of a file, or make one there that nobody else can read.

        Raises
        ------
        TrustError
            If the file holds no key.
        StorageError
            If it cannot be written.
        """
        if not path.exists():
            with replacing(path, 0o600, durable=True) as aside:
                aside.write_bytes(cls.new().pem)
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> "SecretKey":
        """Read the key of a file (PEM, PKCS #8).

        Raises
        ------
        TrustError
            If the file is not there, or holds no key.
        """
        return cls.of(key_text(path), path)

    @classmethod
    def of(cls, text: bytes, path: Path) -> "SecretKey":
        """Read a key (PEM, PKCS #8) in what was read from a file.

        Raises
        ------
        TrustError
            If it holds no key.
        """
        from cryptography.exceptions import InternalError, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(text, None)
        # OpenSSL fails within at a key of another kind whose length is not that of its kind.
        except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise _unusable(path, "it holds no key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(path, "its key is not Ed25519")
        return cls(key.private_bytes_raw())


def key_text(path: Path) -> bytes:
    """Read what a key's file holds; raises :class:`TrustError` if it cannot be read."""
    try:
        return read_small(path)
    except PermissionError as error:
        raise denied("The key", path) from error
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error


def _unusable(path: Path, reason: str) -> TrustError:
    return TrustError(
        f"The key {path} cannot be used: {reason}.",
        "Bring the file back from a copy; without it, devices have to join anew.",
    )
