"""A folder that holds nothing is filled: whole, or plainly unfinished.

A folder that is not there appears at once, with all that is in it. One that is there may be a disk
of its own, which nothing can take the place of, or in a folder that this user may not write: what
comes into it is built beneath it and then moved, one entry after the other. Who is killed meanwhile
leaves :data:`BUILT_IN` there, and not the last entry; the next one begins anew.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.errors import FederationError
from shared.storage.files import lock, storage_errors, sync_folder
from shared.storage.owners import as_owner
from shared.storage.scratch import scratch_beside

BUILT_IN: Final = ".restoring-federation"
"""Where it is built, beneath a folder that is there."""

_OF_THE_DISK: Final = "lost+found"
"""What a new disk of ext4 holds."""


@contextmanager
def filled(place: Path, names: Collection[str], last: str) -> Iterator[Path]:
    """Give a folder to build in, which is what the place holds when the block ends well.

    Root does what is done in the block as whom the place belongs to, or its folder if it is not
    there: see :func:`~shared.storage.owners.as_owner`.

    Parameters
    ----------
    place
        The folder.
    names
        What may be built, besides the last entry.
    last
        The entry without which the place is unfinished.

    Raises
    ------
    FederationError
        If the place holds something, or another process fills it.
    StorageError
        If the disk is full or the place cannot be written. It is then as it was, but for what
        somebody had left there who was killed.
    """
    place = place.resolve()
    _check(place, names, last)
    filling = _beneath(place, names, last) if place.exists() else _beside(place)
    like = place if place.exists() else place.parent
    with storage_errors(place), as_owner(like), filling as built:
        built.mkdir(mode=0o700)
        yield built


def refuse_unfinished(place: Path, last: str) -> None:
    """Raise :class:`FederationError` if a place is not filled whole: see :func:`filled`."""
    if (place / BUILT_IN).exists() and not (place / last).exists():
        raise FederationError(
            f"{place} holds only a part of a federation: a restore was cut short, or is under way.",
            "Give `aggregator restore` again, or wait for it; or begin anew with another --state.",
        )


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Give a folder that takes the place at once."""
    with scratch_beside(place) as scratch:
        built = scratch / "state"
        yield built
        built.replace(place)
        sync_folder(place.parent)


@contextmanager
def _beneath(place: Path, names: Collection[str], last: str) -> Iterator[Path]:
    """Give a folder whose entries come into the place one after the other."""
    scratch = place / BUILT_IN
    scratch.mkdir(0o700, exist_ok=True)
    taken = FederationError(
        f"{place} is being filled by another process.", "Wait for it, or give another --state."
    )
    held = lock(scratch / "lock", taken)
    try:
        built = scratch / "state"
        try:
            _check(place, names, last)  # another process may have just ended
            for left in (built, *(place / name for name in names)):
                _remove(left)
            yield built
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        with contextlib.suppress(PermissionError):  # a folder of somebody else's
            place.chmod(0o700)
        for entry in sorted(built.iterdir(), key=lambda entry: entry.name == last):
            entry.replace(place / entry.name)
        sync_folder(place)
        shutil.rmtree(scratch)
    finally:
        os.close(held)


def _check(place: Path, names: Collection[str], last: str) -> None:
    """Raise :class:`FederationError` if a place holds something."""
    if not place.exists():
        return
    there = {path.name for path in place.iterdir()} if place.is_dir() else {place.name}
    there.discard(_OF_THE_DISK)
    if BUILT_IN in there and last not in there:
        there -= {BUILT_IN, *names}
    if there:
        raise FederationError(
            f"{place} is not empty.", "Give another --state, or move away what is there."
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
