"""A round's updates, to be gone through more than once: from the disk, or trained again."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aggregator.strategies import Update
from shared.errors import StorageError
from shared.storage.files import storage_errors
from shared.vector_file import VectorFile

MOST_KEPT: Final = 4 << 30
"""Bytes of a round's updates that lie on the disk, at most, where others can be trained again."""


class RoundUpdates:
    """The updates of a round, which can be gone through again and again.

    Parameters
    ----------
    clients
        Who takes part, in the clients' order.
    train
        Gives the updates of some of them, in that order; the same ones each time.
    folder
        Where they are kept.
    kept
        How many, the first ones, are kept on the disk. The others are trained again each time.
    """

    def __init__(
        self,
        clients: Sequence[int],
        train: Callable[[Sequence[int]], Iterator[Update]],
        folder: Path,
        kept: int,
    ) -> None:
        self._clients = clients
        self._train = train
        self._folder = folder
        self._most = kept
        self._kept: list[Update] = []

    def __iter__(self) -> Iterator[Update]:
        """Give the updates; their vectors are in memory one at a time."""
        yield from self._kept.copy()
        yield from map(self._keep, self._train(self._clients[len(self._kept) :]))

    def _keep(self, update: Update) -> Update:
        """Move an update's vectors to the disk, while there is room."""
        if len(self._kept) == self._most:
            return update
        delta = VectorFile.write(self._folder / f"{update.client}.delta", update.delta[:])
        control = None
        if update.control is not None:
            path = self._folder / f"{update.client}.control"
            control = VectorFile.write(path, update.control[:])
        self._kept.append(Update(update.client, update.examples, delta, control))
        return self._kept[-1]


@contextmanager
def folder_of_round(folder: Path | None) -> Iterator[Path]:
    """Make a folder for a round's updates, on the disk that the run was given."""
    if folder:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            yield Path(own)
    finally:
        if folder:
            with suppress(OSError):  # clients' vectors may be in it
                folder.rmdir()


def kept_updates(clients: int, bytes_each: int, folder: Path, *, all_of_them: bool) -> int:
    """Say how many of a round's updates are kept on the disk.

    Parameters
    ----------
    clients
        Who take part.
    bytes_each
        What the vectors of one update take.
    folder
        Where they would lie.
    all_of_them
        Whether the strategy needs them all there. Otherwise they take :data:`MOST_KEPT` bytes, and
        half of what is free, at most.

    Raises
    ------
    StorageError
        If all are needed, and there is no room for them.
    """
    free = shutil.disk_usage(folder).free
    if not all_of_them:
        return min(clients, min(MOST_KEPT, free // 2) // bytes_each)
    if clients * bytes_each > free:
        raise StorageError(
            f"The strategy needs the updates of all {clients:,} clients of a round on the disk, "
            f"{_gigabytes(clients * bytes_each)}, and {folder.parent} has room for "
            f"{_gigabytes(free)}.",
            "Let fewer take part in a round (--clients-per-round), make room, or choose a strategy "
            "that adds updates up one by one, as fedavg does.",
        )
    return clients


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
