"""The aggregator's voice: it signs all that it says in words."""

import time
from collections.abc import Callable

from aggregator.ledger.folder import FederationFolder
from shared.errors import TrustError
from shared.trust.counter import Counter
from shared.trust.keys import SecretKey
from shared.trust.signing import counter_of, signed, unsigned


class Voice:
    """Signs with the federation's key, which is made at the first start.

    Parameters
    ----------
    folder
        Where the key is.
    clock
        Gives the time, in seconds since 1970; see :class:`shared.trust.counter.Counter`.

    Attributes
    ----------
    key
        The key.

    Raises
    ------
    TrustError
        If the key's file cannot be used.
    StorageError
        If it cannot be written.
    """

    def __init__(self, folder: FederationFolder, clock: Callable[[], float] = time.time) -> None:
        self.key = SecretKey.kept(folder.key)
        self._counter = Counter(folder.counter, clock)

    def sign(self, topic: str, message: bytes) -> bytes:
        """Sign a message for a topic.

        Raises
        ------
        StorageError
            If the disk is full, so that it could not be known which numbers were used.
        """
        return signed(self.key, topic, message, self._counter.next())

    def recognised(self, topic: str, payload: bytes) -> bytes:
        """Give a message that was signed here as it was before; what others wrote as it is."""
        try:
            counter_of(self.key.public, topic, payload)
        except TrustError:
            return payload
        return unsigned(payload)
