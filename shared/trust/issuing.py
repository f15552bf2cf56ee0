"""A root above the aggregator's key: kept offline, it issues the keys that sign.

What a root signs is ``chorus root 1``, a zero byte, the federation, a zero byte, a number (8 bytes,
big-endian) and the 32 bytes of the key. The statement travels in what the aggregator signs with
that key. Who knows the root believes a key of a larger number in place of a smaller one, and no
other: so a key that was stolen can be replaced, and what its thief says of a next one is worth
nothing.
"""

from dataclasses import dataclass

from shared.errors import ProtocolError, TrustError
from shared.protocol.fields import Issued
from shared.protocol.messages import Message
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import counter_of

_CONTEXT = b"chorus root 1\0"


class _Issued(Message):
    """What of a message is read before anybody is believed."""

    issued: Issued | None = None


def issue(root: SecretKey, federation: str, number: int, key: PublicKey) -> Issued:
    """Let a root say that a key is a federation's."""
    signature = root.sign(_what_is_signed(federation, number, key))
    return Issued(number=number, key=str(key), signature=signature.hex())


@dataclass(frozen=True, slots=True)
class Root:
    """A root, as those know it who believe the keys that it has issued.

    Attributes
    ----------
    key
        Its key.
    federation
        The federation that it issues keys for.
    """

    key: PublicKey
    federation: str

    def has_issued(self, issued: Issued) -> bool:
        """Say whether a statement is this root's, for this federation."""
        signed = _what_is_signed(self.federation, issued.number, PublicKey.of(issued.key))
        return self.key.verifies(bytes.fromhex(issued.signature), signed)

    def signer_of(self, least: int, topic: str, payload: bytes) -> tuple[Issued, int]:
        """Check that a message is signed by a key that the root has issued, and that it brings.

        Parameters
        ----------
        least
            The smallest number of a key that is believed.
        topic, payload
            Where the message was published, and the message.

        Returns
        -------
        (Issued, int)
            The statement on the key that has signed it, and its counter.

        Raises
        ------
        TrustError
            If somebody else has signed it, or nobody, or a key of a smaller number; or it was
            changed since.
        """
        try:
            issued = _Issued.decode(payload).issued
        except ProtocolError:
            issued = None
        if issued is None or not self.has_issued(issued):
            raise TrustError("It is signed by a key that the root has not issued.")
        counter = counter_of(PublicKey.of(issued.key), topic, payload)
        if issued.number < least:
            raise TrustError("It is signed by a key that the root has replaced since.")
        return issued, counter


def _what_is_signed(federation: str, number: int, key: PublicKey) -> bytes:
    return _CONTEXT + federation.encode() + b"\0" + number.to_bytes(8) + key.raw
