"""The messages of joining, one each way; the aggregator and a device that was invited say them."""

from typing import Annotated, Final

from pydantic import Field

from shared.protocol.fields import Bytes32, Issued, Sentence, Succession, Successor
from shared.protocol.messages import Message

_LONGEST_PEM: Final = 1 << 16

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""16 random bytes in hexadecimal."""


class JoinRequest(Message):
    """A device asks to join; signed by the key that it names."""

    key: Bytes32
    """The device's public key."""
    half: Bytes32
    """Its half of the exchange that makes the account's password."""
    nonce: Nonce
    """Tells this request from others."""
    proof: Bytes32
    """Proves that it holds the invitation's code."""
    successor: Successor | None = None
    """What the key that it had before says of this one, if it still has that; since 1.3."""


class JoinAnswer(Message):
    """What the aggregator answers; signed by its key."""

    nonce: Nonce
    """That of the request."""
    half: Bytes32 | None = None
    """The aggregator's half of the exchange; not given if the device may not join."""
    authority: Annotated[str, Field(max_length=_LONGEST_PEM)] | None = None
    """Certificate (PEM) of the authority that signs the broker's, where there is one: the device
    goes by it from now on, and no longer by the certificate of its link."""
    succession: Succession | None = None
    """How the key that signs this came after that of the link, if there is another one since."""
    issued: Issued | None = None
    """What the root says of the key that signs this, if there is one above it; since 1.3."""
    sentence: Sentence = ""
    """Why the device may not join."""
