"""In which rounds a device has given a masked update: what keeps it from giving two."""

from pathlib import Path
from typing import Any, Final

from edge_client.secure.remembered import read_remembered, write_remembered
from shared.errors import SecureError, TrustError
from shared.secure.terms import Terms

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
        self._last = read_remembered(path, _number, _unreadable(path))

    def check_plain(self, federation: str, run: str) -> None:
        """Check that the device may give an update that is not masked in a run.

        Raises
        ------
        SecureError
            If it has given a masked one there.
        """
        if _named(federation, run) in self._last:
            raise SecureError(
                "The rounds of this federation were secure, and now it asks for an update that "
                "is not masked.",
                "Do not trust this aggregator with this federation before its operator has an "
                "answer: a federation that is not secure begins anew.",
                reason="contradiction",
            )

    def check(self, terms: Terms) -> None:
        """Check that the device may still give a masked update in a round.

        Raises
        ------
        SecureError
            If it has given one, or in a later round of this run; or knows too many runs.
        """
        run = _named(terms.federation, terms.run)
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
        last = {**self._last, _named(terms.federation, terms.run): terms.number}
        write_remembered(self._path, last)
        self._last = last


def _named(federation: str, run: str) -> str:
    return f"{federation}/{run}"


def _number(run: str, found: Any) -> int:
    if type(found) is not int:
        raise TypeError(f"what stands beside {run} is no round's number")
    return found


def _unreadable(path: Path) -> TrustError:
    return TrustError(
        f"What this device remembers of secure rounds cannot be read: {path}.",
        "Bring the file back from a copy. Without it, an aggregator could ask for a round twice.",
    )
