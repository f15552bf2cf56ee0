"""The embedded broker's own certificate, which devices know by its fingerprint."""

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shared.errors import TrustError
from shared.storage.files import read_small, replacing
from shared.storage.owners import denied

_FROM: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Devices go by the fingerprint, and may have no clock."""


def kept_certificate(path: Path) -> str:
    """Give the fingerprint of the certificate that is kept in a file, or make one there.

    Parameters
    ----------
    path
        The file (PEM): the key and the certificate, for nobody else to read.

    Returns
    -------
    str
        SHA-256 of the certificate, in hexadecimal.

    Raises
    ------
    TrustError
        If the file holds no certificate with its key.
    StorageError
        If it cannot be written.
    """
    if not path.exists():
        with replacing(path, 0o600, durable=True) as aside:
            aside.write_bytes(_new_certificate())
    try:
        text = read_small(path).decode("ascii")
        pem = text[text.index("-----BEGIN CERTIFICATE-----") :]
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except PermissionError as error:
        raise denied("The broker's certificate", path) from error
    except (OSError, ValueError) as error:
        raise _unusable(path) from error
    tls_with(path)  # as the broker's process will
    return fingerprint


def tls_with(path: Path) -> ssl.SSLContext:
    """Give what a server shows that it is the one of a certificate with.

    Parameters
    ----------
    path
        The file (PEM) of certificate and key.

    Raises
    ------
    TrustError
        If they cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(path)
    except (OSError, ValueError) as error:
        raise _unusable(path) from error
    return context


def _unusable(path: Path) -> TrustError:
    return TrustError(
        f"The broker's certificate {path} cannot be used.",
        "Bring the file back from a copy; without it, devices need another link.",
    )


def _new_certificate() -> bytes:
    """Make an elliptic key (P-256), and a certificate that it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chorus embedded broker")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret + certificate.public_bytes(Encoding.PEM)
