"""The keys of other devices that this one has met in secure rounds."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge_client.secure.remembered import read_remembered, write_remembered
from shared.errors import SecureError, TrustError
from shared.protocol.fields import Successor
from shared.protocol.topics import is_name
from shared.trust.keys import PublicKey
from shared.trust.succession import newest

log = logging.getLogger(__name__)

MOST_KNOWN: Final = 10_000
"""Devices that are remembered; no more are met."""


class Acquaintances:
    """Remembers by which key this device has met each other one.

    The first time it is the aggregator's signed word. From then on the key stays, until it has
    itself signed the next one: whoever says another one is not believed, until the person has
    removed the old one.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    TrustError
        If what is there cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = read_remembered(path, _key, _unreadable(path))

    def meet(
        self,
        told: Mapping[str, PublicKey],
        most_new: int | None = None,
        renewed: Mapping[str, Sequence[Successor]] = {},
    ) -> dict[str, PublicKey]:
        """Compare keys with those known, and remember new ones; give them all.

        Parameters
        ----------
        told
            The key of each device, by the aggregator's word.
        most_new
            How many of them may be new; ``None``: all.
        renewed
            What earlier keys have said of the next ones, by device.

        Raises
        ------
        SecureError
            If one has another key than before, or too many are new; then nothing is remembered.
        StorageError
            If the disk is full.
        """
        new = sorted(told.keys() - self._known.keys())
        self._check_known(told, renewed)
        self._check_new(len(new), len(told) if most_new is None else most_new)
        known = {**self._known, **told}
        if known != self._known:
            write_remembered(self._path, {name: str(key) for name, key in known.items()})
            other = sorted(told.keys() & self._known.keys())
            again = [name for name in other if told[name] != self._known[name]]
            self._known = known
            _say("Met for the first time", new)
            _say("Signed a new key with the one it had", again)
        return dict(told)

    def _check_known(
        self, told: Mapping[str, PublicKey], renewed: Mapping[str, Sequence[Successor]]
    ) -> None:
        """Check that those whom the device knows have their keys, or what these have signed."""
        for name, key in sorted(told.items()):
            before = self._known.get(name, key)
            if key not in (before, newest(before, renewed.get(name, ()))):
                raise SecureError(
                    f"The aggregator says that {name} has another key ({key.short}) than this "
                    f"device knows ({self._known[name].short}).",
                    f"If its owner says the same, remove the line of {name} from {self._path}; "
                    "else do not trust this aggregator.",
                    reason="contradiction",
                )

    def _check_new(self, new: int, most: int) -> None:
        """Check that there are not too many whom the device does not know."""
        if new > most:
            raise SecureError(
                f"{new} devices of this secure round are new to this one; its terms allow {most}.",
                "Raise --terms-most-strangers if so many have joined.",
                reason="strangers",
            )
        if len(self._known) + new > MOST_KNOWN:
            raise SecureError(
                f"This device knows {len(self._known)} others already, and meets no more.",
                f"Remove {self._path} if there were so many.",
                reason="strangers",
            )


def _say(what: str, names: Sequence[str]) -> None:
    if names:
        log.info("%s: %s.", what, ", ".join(names))


def _key(name: str, found: Any) -> PublicKey:
    if not is_name(name):
        raise ValueError("no device has this name")
    return PublicKey.of(found)


def _unreadable(path: Path) -> TrustError:
    return TrustError(
        f"What this device knows of other devices' keys cannot be read: {path}.",
        "Bring the file back from a copy. Without it, an aggregator could name other keys.",
    )
