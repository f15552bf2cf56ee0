"""Signed messages: the bytes that travel, with the topic that they are for, and a counter.

A signed message is the JSON object of the message with two fields at its end, written exactly so::

    ...,"counter":17,"signature":"HEX"}

What is signed is ``chorus signed 1``, a zero byte, the topic, a zero byte, and all that stands
before ``,"signature"``. So a reader that knows nothing of signatures reads on, and one that does
needs no canonical form of JSON. The topic holds the federation, the client, and what kind of
message it is: nothing can be moved from one place to another.
"""

import re
from typing import Final

from shared.errors import TrustError
from shared.trust.keys import PublicKey, SecretKey

LARGEST_COUNTER: Final = (1 << 53) - 1
"""What every reader of JSON holds exactly."""

_CONTEXT: Final = b"chorus signed 1\0"

_END: Final = re.compile(
    rb',"counter":(0|[1-9][0-9]{0,15}),"signature":"([0-9a-f]{128})"\}\Z', re.DOTALL
)


def signed(key: SecretKey, topic: str, message: bytes, counter: int) -> bytes:
    """Sign a message.

    Parameters
    ----------
    key
        Whose it is.
    topic
        Where it is published.
    message
        A JSON object with at least one field, that ends in its brace.
    counter
        A number that the key's owner has not used before, and larger than those it has.
    """
    body = b'%s,"counter":%d' % (message[:-1], counter)
    signature = key.sign(_CONTEXT + topic.encode() + b"\0" + body).hex()
    return b'%s,"signature":"%s"}' % (body, signature.encode())


def unsigned(payload: bytes) -> bytes:
    """Give a message as it was before it was signed, or as it is if nobody has."""
    end = _END.search(payload)
    return payload[: end.start()] + b"}" if end else payload


def counter_of(key: PublicKey, topic: str, payload: bytes) -> int:
    """Check that the owner of a key has signed a message for a topic; give its counter.

    Raises
    ------
    TrustError
        If nobody, or somebody else, has signed it, or for another topic; or it was changed since.
    """
    end = _END.search(payload)
    if end is None:
        raise TrustError("It is not signed.")
    counter = int(end[1])
    message = _CONTEXT + topic.encode() + b"\0" + payload[: end.end(1)]
    if counter > LARGEST_COUNTER or not key.verifies(bytes.fromhex(end[2].decode()), message):
        raise TrustError("It is signed by another key, or was changed on its way.")
    return counter
