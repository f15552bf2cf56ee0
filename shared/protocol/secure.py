"""What devices and the aggregator say in a secure round, in words; docs/secure.md has the order.

All but the masked update are such messages. Bytes are in base64 (RFC 4648, with ``=``).
"""

import base64
import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from shared.protocol.fields import Name, RoundNumber
from shared.protocol.messages import LARGEST_MESSAGE, Message
from shared.round_settings import MOST_SECURE

SHARE_BYTES: Final = 33
"""Bytes of a share of a secret."""

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_SEALED_BYTES: Final = 2 * SHARE_BYTES + 16  # and what shows that nobody has changed them


def _of_base64(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("it should be a text in base64")  # noqa: TRY004 # pydantic reports only this
    found = base64.b64decode(value, validate=True)
    if base64.b64encode(found).decode() != value:
        raise ValueError("it should be in base64, as short as it can be")
    return found


_In_base64: Final = (
    BeforeValidator(_of_base64),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
)

Key = Annotated[bytes, *_In_base64, Field(min_length=_KEY_BYTES, max_length=_KEY_BYTES)]
"""A public key, a hash, or what names a round: 32 bytes."""

Signature = Annotated[
    bytes, *_In_base64, Field(min_length=_SIGNATURE_BYTES, max_length=_SIGNATURE_BYTES)
]

Share = Annotated[bytes, *_In_base64, Field(min_length=SHARE_BYTES, max_length=SHARE_BYTES)]
"""A share of a secret: a number of the field, big-endian."""

Sealed = Annotated[bytes, *_In_base64, Field(min_length=_SEALED_BYTES, max_length=_SEALED_BYTES)]
"""Two shares that only their receiver can open."""

_Names = Annotated[list[Name], Field(max_length=MOST_SECURE)]


class OfRound(Message):
    """What all of them have in common, but for :class:`Declined`."""

    secure_round: Key
    """Names the round and its terms."""


class DeviceKeys(BaseModel):
    """A device's keys of one round, signed with the key that others know it by."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seal: Key
    """Others seal shares for it with this (X25519)."""
    mask: Key
    """Two such keys make the mask that a pair of devices shares (X25519)."""
    commitment: Key
    """SHA-256 over the seed of its own mask: shows whether shares of it were true."""
    signature: Signature
    """Of the device's lasting key."""


class Keys(OfRound):
    """Stage 1, device: its keys of this round."""

    kind: Literal["secure-keys"] = "secure-keys"
    keys: DeviceKeys


class Roster(OfRound):
    """Stage 2, aggregator: who takes part, and the keys of all."""

    kind: Literal["secure-roster"] = "secure-roster"
    devices: Annotated[dict[Name, DeviceKeys], Field(max_length=MOST_SECURE)]


class SealedShares(OfRound):
    """Stage 2, device: shares for each other device. Stage 3, aggregator: from each for one."""

    kind: Literal["secure-shares"] = "secure-shares"
    sealed: Annotated[dict[Name, Sealed], Field(max_length=MOST_SECURE)]
    """By the other device's name."""


class Survivors(OfRound):
    """Stage 4, aggregator: whose masked updates are in the sum."""

    kind: Literal["secure-survivors"] = "secure-survivors"
    sharers: _Names
    """Whose shares were sent on: each other's masks are in all masked updates. Sorted."""
    survivors: _Names
    """Those of them whose masked updates have arrived. Sorted."""


class Consent(OfRound):
    """Stage 4, device: it was told these survivors."""

    kind: Literal["secure-consent"] = "secure-consent"
    signature: Signature
    """Of its lasting key, over roster, sharers and survivors."""


class Consents(OfRound):
    """Stage 5, aggregator: who was told the same survivors."""

    kind: Literal["secure-consents"] = "secure-consents"
    signatures: Annotated[dict[Name, Signature], Field(max_length=MOST_SECURE)]


class Revealed(OfRound):
    """Stage 5, device: its share of one secret of each device, never of both."""

    kind: Literal["secure-revealed"] = "secure-revealed"
    seeds: Annotated[dict[Name, Share], Field(max_length=MOST_SECURE)]
    """Of the seeds of survivors' own masks."""
    keys: Annotated[dict[Name, Share], Field(max_length=MOST_SECURE)]
    """Of the mask keys of sharers that are gone."""


class Declined(Message):
    """Any stage, device: it says no more in this round. Why is its own affair."""

    kind: Literal["secure-declined"] = "secure-declined"
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    round: RoundNumber
    """By its number: a device that could not read the round's terms declines, too."""


def kind_of(payload: bytes) -> str:
    """Say which kind of message in words this is; empty if it is none.

    Nothing else of it is looked at.
    """
    if len(payload) > LARGEST_MESSAGE:
        return ""
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    kind = values.get("kind") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) else ""
