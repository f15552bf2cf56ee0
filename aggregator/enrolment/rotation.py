"""The aggregator's keys, one after the other, all in one file.

It holds the key that signs now (PEM), and behind it a line for each time that a key has handed over
to the next one. It is replaced as a whole: whoever is killed has changed the key, or has not.
"""

from pathlib import Path
from typing import Final, NamedTuple

from aggregator.enrolment.links import members_in
from aggregator.ledger.folder import FederationFolder
from shared.errors import TrustError
from shared.protocol.fields import MOST_HANDED_OVER, Successor
from shared.storage.files import replacing
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.succession import hand_over

_HANDED_OVER: Final = "handed over"
"""What such a line begins with; the old key, the new one and the signature follow."""


class HandedOver(NamedTuple):
    """One line.

    Attributes
    ----------
    old
        The key that has signed it.
    to
        What it has signed.
    """

    old: PublicKey
    to: Successor


def read_handed_over(path: Path) -> tuple[HandedOver, ...]:
    """Read which keys were before that of a file, the oldest first.

    Raises
    ------
    TrustError
        If the file cannot be read, or a line is damaged.
    """
    try:
        text = path.read_text("ascii")
        return tuple(map(_read, (one for one in text.splitlines() if one.startswith(_HANDED_OVER))))
    except (OSError, ValueError) as error:
        raise TrustError(
            f"What {path} says of earlier keys cannot be read.", "Bring the file back from a copy."
        ) from error


def rotate(folder: FederationFolder) -> PublicKey:
    """Let the federation have a new key, which the present one hands over to.

    Returns
    -------
    PublicKey
        The new one.

    Raises
    ------
    TrustError
        If the federation is not by invitation, or its key cannot be used.
    StorageError
        If the disk is full; then it has the key that it had.
    """
    # Within a transaction, so that nobody else does so at the same time.
    with members_in(folder) as members, members.transaction():
        old, new = SecretKey.read(folder.key), SecretKey.new()
        before = (*read_handed_over(folder.key), HandedOver(old.public, hand_over(old, new.public)))
        lines = [f"{_HANDED_OVER} {old} {to.key} {to.signature}\n" for old, to in before]
        with replacing(folder.key, 0o600) as aside:
            aside.write_bytes(new.pem + "".join(lines[-MOST_HANDED_OVER:]).encode())
    return new.public


def _read(line: str) -> HandedOver:
    old, key, signature = line.removeprefix(_HANDED_OVER).split()
    return HandedOver(PublicKey.of(old), Successor(key=key, signature=signature))
