"""The link of an invitation: all that a device needs to join a federation, in one line.

::

    chorus://HOST:PORT/FEDERATION/NAME#TEXT

TEXT is in base64 (the alphabet for URLs, without ``=``): a byte that says how the link is made (1,
or 2 with a root above the aggregator's key), a byte for TLS (0 none, 1 by a known authority, 2 by
this certificate), the aggregator's key or the root's (32 bytes), the code (16), with a root the
number of the key that it has issued (8, big-endian), with a certificate its SHA-256 (32), and the
CRC-32 of all of the link before these last 4 bytes. What stands behind ``#`` no browser sends
anywhere.
"""

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from shared.errors import TrustError
from shared.protocol.topics import is_name
from shared.trust.joining import CODE_BYTES
from shared.trust.keys import KEY_BYTES, PublicKey

FINGERPRINT_BYTES: Final = 32
"""Bytes of a certificate's SHA-256."""

_PLAIN: Final = 1
_WITH_ROOT: Final = 2

_NUMBER_BYTES: Final = 8

_HOST: Final = r"\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}"

_LINK: Final = re.compile(
    rf"chorus://(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})"
    r"/(?P<federation>[^/#]+)/(?P<name>[^/#]+)#(?P<text>[A-Za-z0-9_-]+)"
)

_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Link:
    """An invitation, as it is handed over.

    Attributes
    ----------
    host, port
        Where devices reach the broker.
    federation, name
        Which federation, and what the device will be called in it.
    aggregator
        The aggregator's key; that of the root, if there is one above it.
    code
        What lets the device in, once: 16 bytes.
    tls
        Whether the broker speaks TLS.
    fingerprint
        SHA-256 of the broker's certificate, where it has one of its own; ``None`` where a known
        authority has signed it.
    issued
        With a root: the number of the key that it has issued last.
    """

    host: str
    port: int
    federation: str
    name: str
    aggregator: PublicKey
    code: bytes
    tls: bool = False
    fingerprint: bytes | None = None
    issued: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        before = f"chorus://{host}:{self.port}/{self.federation}/{self.name}#"
        kind = 0 if not self.tls else 2 if self.fingerprint else 1
        rooted = self.issued is not None
        body = bytes([_WITH_ROOT if rooted else _PLAIN, kind]) + self.aggregator.raw + self.code
        body += (self.issued or 0).to_bytes(_NUMBER_BYTES) if rooted else b""
        body += self.fingerprint or b""
        return before + base64.urlsafe_b64encode(body + _sum(before, body)).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> "Link":
        """Read a link.

        Raises
        ------
        TrustError
            If it is none, was cut short, or mistyped.
        """
        found = _LINK.fullmatch(text.strip()[:_LONGEST])
        if found is None:
            raise _damaged("it does not look like chorus://HOST:PORT/FEDERATION/NAME#...")
        try:
            whole = base64.urlsafe_b64decode(found["text"] + "=" * (-len(found["text"]) % 4))
        except binascii.Error as error:
            raise _damaged("it was cut short") from error
        body, check = whole[:-4], whole[-4:]
        if body and body[0] not in (_PLAIN, _WITH_ROOT):
            raise TrustError(
                "This link was made by a newer version of chorus-edge.",
                "Install that version on this device.",
            )
        rooted, pinned = body[:1] == bytes([_WITH_ROOT]), body[1:2] == b"\2"
        length = 2 + KEY_BYTES + CODE_BYTES + _NUMBER_BYTES * rooted + FINGERPRINT_BYTES * pinned
        if len(body) != length:
            raise _damaged("it was cut short")
        if check != _sum(text.strip()[: found.start("text")], body):
            raise _damaged("a letter of it is wrong")
        if not (is_name(found["federation"]) and is_name(found["name"])):
            raise _damaged("it names what cannot be a federation and a device")
        rest = BytesIO(body[2:])
        return cls(
            host=found["host"].strip("[]"),
            port=int(found["port"]),
            federation=found["federation"],
            name=found["name"],
            aggregator=PublicKey(rest.read(KEY_BYTES)),
            code=rest.read(CODE_BYTES),
            tls=body[1] > 0,
            issued=int.from_bytes(rest.read(_NUMBER_BYTES)) if rooted else None,
            fingerprint=rest.read() or None,
        )


def can_lead_to(host: str) -> bool:
    """Say whether a link can name a host: by an address, or a name of letters that DNS has."""
    return re.fullmatch(_HOST, f"[{host}]" if ":" in host else host) is not None


def _sum(before: str, body: bytes) -> bytes:
    return zlib.crc32(before.encode() + body).to_bytes(4)


def _damaged(why: str) -> TrustError:
    return TrustError(
        f"This is no whole link of an invitation: {why}.",
        "Copy all of the line that `aggregator invite` printed, in quotes, or scan its QR code.",
    )
