"""How a key hands over to the next one of the same owner: the old one signs it.

What an old key has signed is ``chorus key 1``, a zero byte, and the 32 bytes of the new one. The
statements travel in what the aggregator signs with its newest key. So who has missed some of them
follows from the key that it believes to the newest one, and no further than a key's owner has said.
"""

from collections.abc import Iterable
from typing import Final

from shared.errors import ProtocolError, TrustError
from shared.protocol.fields import Succession, Successor
from shared.protocol.messages import Message
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import counter_of

_CONTEXT: Final = b"chorus key 1\0"


class _Succession(Message):
    """What of a message is read before anybody is believed."""

    succession: Succession | None = None


def hand_over(old: SecretKey, new: PublicKey) -> Successor:
    """Let a key say which one comes after it."""
    return Successor(key=str(new), signature=old.sign(_CONTEXT + new.raw).hex())


def newest(believed: PublicKey, succession: Iterable[Successor]) -> PublicKey:
    """Follow from a key to the last one that it has handed over to, itself or through others.

    Parameters
    ----------
    believed
        The key to begin with.
    succession
        Statements, the oldest first.
    """
    for statement in succession:
        key = PublicKey.of(statement.key)
        if believed.verifies(bytes.fromhex(statement.signature), _CONTEXT + key.raw):
            believed = key
    return believed


def signer_of(believed: PublicKey, topic: str, payload: bytes) -> tuple[PublicKey, int]:
    """Check that a message is signed by a key, or by one that it was handed over to.

    Returns
    -------
    (PublicKey, int)
        Who has signed it, and its counter.

    Raises
    ------
    TrustError
        If somebody else has signed it, or nobody, or for another topic; or it was changed since.
    """
    try:
        return believed, counter_of(believed, topic, payload)
    except TrustError:
        try:
            key = newest(believed, _Succession.decode(payload).succession or ())
        except ProtocolError:
            key = believed
        if key == believed:
            raise
    return key, counter_of(key, topic, payload)
