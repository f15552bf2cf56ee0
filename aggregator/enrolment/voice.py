"""The aggregator's voice: it signs all that it says in words."""

import time
from collections.abc import Callable
from pathlib import Path

from aggregator.enrolment.key_file import KeyFile
from aggregator.ledger.folder import FederationFolder
from shared.errors import TrustError
from shared.protocol.fields import Issued, Successor
from shared.trust.counter import Counter
from shared.trust.keys import PublicKey, SecretKey
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
        self._path = folder.key
        self._counter = Counter(folder.counter, clock)
        SecretKey.kept(self._path)
        self._read()

    @property
    def succession(self) -> list[Successor] | None:
        """How the key came to be the federation's; ``None`` if there was no other before it."""
        return [to for _, to in self._file.handed_over] or None

    @property
    def issued(self) -> Issued | None:
        """What the root says of the key; ``None`` if there is no root."""
        return self._file.issued

    @property
    def keys(self) -> list[PublicKey]:
        """The keys that others may know the federation by: this one, those before, the root."""
        root = [self._file.root.key] if self._file.root else []
        return [self.key.public, *(old for old, _ in self._file.handed_over), *root]

    def renewed(self) -> bool:
        """Say whether there is another key since; then it is signed with that one from now on.

        Raises
        ------
        TrustError
            If the file cannot be used; said once for each time that it changes.
        """
        before = self.key.public
        if _state_of(self._path) != self._seen:
            self._read()
        return self.key.public != before

    def _read(self) -> None:
        # First, so that what is written meanwhile is read the next time.
        self._seen = _state_of(self._path)
        # Both or neither: a new key is no use without what says that it is the federation's.
        self._file = KeyFile.read(self._path)
        self.key = self._file.key

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


def _state_of(path: Path) -> tuple[int, int] | None:
    """Tell one state of a file from others, its owner too; ``None`` while there is none."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_ctime_ns
