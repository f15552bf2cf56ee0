"""What the aggregator signs with, and how devices come to believe it, all in one file.

It holds the key (PEM), and behind it lines. One for each time that a key has handed over to the
next one::

    handed over OLD NEW SIGNATURE

and one if a root has issued the key::

    issued FEDERATION ROOT NUMBER SIGNATURE

The file is replaced as a whole: whoever is killed has changed the key, or has not. A key that a
root has issued is carried to the aggregator in such a file, too.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from shared.errors import TrustError
from shared.protocol.fields import MOST_HANDED_OVER, Issued, Successor
from shared.storage.files import replacing
from shared.trust.issuing import Root
from shared.trust.keys import PublicKey, SecretKey, key_text

_HANDED_OVER: Final = "handed over "
_ISSUED: Final = "issued "


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


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What such a file holds.

    Attributes
    ----------
    key
        The key that signs.
    handed_over
        The keys before it, the oldest first.
    root, issued
        The root above it, and what that says of it; ``None`` without one.
    """

    key: SecretKey
    handed_over: tuple[HandedOver, ...] = ()
    root: Root | None = None
    issued: Issued | None = None

    @classmethod
    def read(cls, path: Path) -> "KeyFile":
        """Read a file.

        Raises
        ------
        TrustError
            If it cannot be read, holds no key, or a line is damaged.
        """
        text = key_text(path)  # once: it may be replaced at any moment
        key = SecretKey.of(text, path)
        try:
            lines = text.decode("ascii").splitlines()
            handed_over = tuple(_handed_over(one) for one in lines if one.startswith(_HANDED_OVER))
            issued = [_issued(one, key) for one in lines if one.startswith(_ISSUED)]
        except ValueError as error:
            raise TrustError(
                f"What {path} says of other keys cannot be read.",
                "Bring the file back from a copy.",
            ) from error
        root, said = issued[-1] if issued else (None, None)
        return cls(key, handed_over, root, said)

    def write(self, path: Path) -> None:
        """Write the file, for nobody else to read, safe on return.

        Raises :class:`StorageError` as files do.
        """
        lines = [f"{_HANDED_OVER}{old} {to.key} {to.signature}\n" for old, to in self.handed_over]
        text = "".join(lines[-MOST_HANDED_OVER:])
        if self.root and self.issued:
            root, said = self.root, self.issued
            text += f"{_ISSUED}{root.federation} {root.key} {said.number} {said.signature}\n"
        with replacing(path, 0o600, durable=True) as aside:
            aside.write_bytes(self.key.pem + text.encode())


def _handed_over(line: str) -> HandedOver:
    old, key, signature = line.removeprefix(_HANDED_OVER).split()
    return HandedOver(PublicKey.of(old), Successor(key=key, signature=signature))


def _issued(line: str, key: SecretKey) -> tuple[Root, Issued]:
    federation, by, number, signature = line.removeprefix(_ISSUED).split()
    root = Root(PublicKey.of(by), federation)
    issued = Issued(number=int(number), key=str(key.public), signature=signature)
    if not root.has_issued(issued):
        raise ValueError("it is not the root's")
    return root, issued
