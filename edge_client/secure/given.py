"""In which rounds a device has given a masked update: what keeps it from giving two."""

import json
from pathlib import Path
from typing import Final

from shared.errors import SecureError, TrustError
from shared.secure.terms import Terms
from shared.storage.files import replacing, sync_folder

MOST_RUNS: Final = 1000
"""Runs that are remembered. No more are joined: to forget one would let its rounds be repeated."""


class GivenRounds:
    """Remembers, on the disk, the last round of each run that a masked update was given in.

    Two masked updates of one device in rounds of one number could be sums of almost the same
    devices: their difference would say more than either.

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
        self._last = _read(path)

    def check(self, terms: Terms) -> None:
        """Check that the device may still give a masked update in a round.

        Raises
        ------
        SecureError
            If it has given one, or in a later round of this run; or knows too many runs.
        """
        run = _run_of(terms)
        if terms.number <= self._last.get(run, 0):
            raise SecureError(
                f"This device has given a masked update in round {terms.number} or a later one "
                "already, and gives no other.",
                "The next round takes a new number.",
                reason="given",
            )
        if run not in self._last and len(self._last) >= MOST_RUNS:
            raise SecureError(
                f"This device has given masked updates in {MOST_RUNS} runs, and joins no more.",
                f"Remove {self._path} if it was meant to take part in so many.",
                reason="given",
            )

    def take(self, terms: Terms) -> None:
        """Remember that the device gives one; it is safe on the disk when this returns.

        Raises
        ------
        SecureError
            As :meth:`check` does; then nothing changes.
        StorageError
            If the disk is full; then nothing was remembered, and nothing may be given.
        """
        self.check(terms)
        last = {**self._last, _run_of(terms): terms.number}
        with replacing(self._path, 0o600) as aside:
            aside.write_text(json.dumps(last) + "\n")
        sync_folder(self._path.parent)
        self._last = last


def _run_of(terms: Terms) -> str:
    return f"{terms.federation}/{terms.run}"


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(found, dict) or not all(type(last) is int for last in found.values()):
        raise _unreadable(path)
    return found


def _unreadable(path: Path) -> TrustError:
    return TrustError(
        f"What this device remembers of secure rounds cannot be read: {path}.",
        "Bring the file back from a copy. Without it, an aggregator could ask for a round twice.",
    )
