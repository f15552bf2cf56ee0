"""The state folder: what a device keeps between one start and the next."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from edge_client.device.erasing import erase
from shared.errors import ChorusError, RunError, StorageError
from shared.storage.files import (
    is_locked,
    leftovers,
    lock,
    make_folder,
    refuse_pipe,
    storage_errors,
    sync_folder,
)
from shared.storage.owners import as_owner, give_as, give_tree

_log = logging.getLogger(__name__)

DAMAGED: Final = "damaged"
SALVAGED: Final = "salvaged"
"""What the names of a damaged store, and of one that is made of it, say after ``examples-``."""


class DeviceFolder:
    """Names what lies in the folder.

    Parameters
    ----------
    path
        The folder.

    Attributes
    ----------
    examples
        The store of examples.
    model
        The global model (safetensors): it comes from outside.
    personal
        A folder for whatever else is made of what this device has heard; it is deleted with the
        examples.
    sounds
        Sound that is kept; in ``personal``.
    federations
        A folder for each federation that the device takes part in, with updates that wait to be
        sent; in ``personal``.
    token
        What lets browsers see the device's page; in ``personal``.
    memberships
        A folder for each federation that the device has joined by invitation: its key there, its
        account. It is made of nothing that was heard, and stays when that is deleted.
    clips
        A state folder for each device made of labelled clips (``run --clips DIR``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.examples = path / "examples.sqlite"
        self.model = path / "model.safetensors"
        self.personal = path / "personal"
        self.sounds = self.personal / "sounds"
        self.federations = self.personal / "federations"
        self.token = self.personal / "token"
        self.memberships = path / "memberships"
        self.clips = path / "clips"
        self._lock = path / "lock"
        self._deleting = path / "deleting"

    def make(self) -> None:
        """Make the folder, readable by nobody else: these are somebody's emotions.

        Raises
        ------
        StorageError
            If it cannot be made.
        """
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Somebody may have made it before; but not if it is a folder for other things too.
            if self.examples.exists() or not any(self.path.iterdir()):
                with suppress(PermissionError):  # FAT knows no permissions
                    self.path.chmod(0o700)
            with suppress(OSError):  # a full disk keeps nobody from deleting
                make_folder(self.personal)

    @contextmanager
    def as_owner(self) -> Iterator[None]:
        """Do what is done in the block as whom the folder belongs to, where root does it.

        What root has left in it, as earlier versions did, becomes theirs before.

        Raises
        ------
        StorageError
            If that cannot be.
        """
        with ExitStack() as stack:
            with storage_errors(self.path):
                stack.enter_context(as_owner(self.path, of_all=True))
            yield

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the folder to oneself, as a device that runs; it is made if it is not there.

        If a process was killed while it deleted everything, that is finished first. What root makes
        in somebody else's folder meanwhile is theirs at the end.

        Raises
        ------
        RunError
            If another process has it; or there is a deletion to be finished, and another process
            has a device made of labelled clips.
        StorageError
            If it cannot be written.
        """
        self.make()
        handle = lock(
            self._lock,
            RunError(
                f"Another edge-client is running with {self.path}.",
                "End it first, or give another --state.",
            ),
        )
        try:
            self._clear_up()
            yield
        finally:
            self._give_back()
            os.close(handle)

    def _give_back(self) -> None:
        """Give what root has made to whom the folder belongs to, where the disk knows owners."""
        with suppress(OSError):
            if self.path.stat().st_uid == 0:
                return
            for made in (self.personal, self.clips):
                with suppress(OSError):
                    give_tree(self.path.resolve() / made.name, partial(give_as, like=self.path))

    @property
    def runs(self) -> bool:
        """Whether a device runs with the folder.

        Raises
        ------
        StorageError
            If this user may not look.
        """
        return is_locked(self._lock)

    @contextmanager
    def memberships_taken(self) -> Iterator[None]:
        """Have the memberships to oneself, to join or to leave; the device itself may run.

        Raises
        ------
        RunError
            If another process has them.
        StorageError
            If the folder cannot be written.
        """
        taken = RunError(
            f"Another `edge-client join` or `leave` is running with {self.path}.",
            "Wait until it has ended.",
        )
        handle = lock(self.memberships / "lock", taken)
        try:
            yield
        finally:
            os.close(handle)

    def _clear_up(self) -> None:
        """Finish what killed processes have begun: deleting everything, and replacing files."""
        if not (self._deleting.exists() or self._leftovers()):
            return
        with self.as_owner():
            self._go_on_deleting()
            with storage_errors(self.path):
                for leftover in self._leftovers():
                    leftover.unlink(missing_ok=True)

    def _leftovers(self) -> list[Path]:
        """Find what processes left that were killed while they replaced a file of the folder."""
        # What lies beside the model has a name that begins as the model's; see `leftovers`.
        names = (
            f"{dots}{self.model.stem}*-????????.{end}"
            for dots in (".", "..")
            for end in ("safetensors", "normalisation")
        )
        with storage_errors(self.path):
            return [*leftovers(self.token), *chain(*map(self.path.glob, names))]

    @property
    def keeps_anything(self) -> bool:
        """Whether anything made of what this device has heard is there, besides the store."""
        # Joining makes the token, before anything was heard.
        return self.personal.is_dir() and any(
            path != self.token for path in self.personal.iterdir()
        )

    def made_of_clips(self) -> "list[DeviceFolder]":
        """List the state folders of devices made of labelled clips."""
        # Whoever names a wrong folder may have one of that name, with clips in it.
        return [DeviceFolder(lock.parent) for lock in sorted(self.clips.glob("*/lock"))]

    def _delete_personal(self) -> None:
        """Delete the folder ``personal``, and what became of stores that were damaged."""
        names = (f"{self.examples.stem}-{what}-*" for what in (DAMAGED, SALVAGED))
        aside = [file for name in names for file in self.path.glob(name)]
        each(partial(_remove, self.personal), *(partial(erase, file) for file in aside))

    def delete_everything(self) -> None:
        """Delete all but the global model, unopened: it may be damaged, or the disk full.

        The folder must be taken, and those of clips too.
        """
        with self.deleting():
            clips = (made.remove for made in self.made_of_clips())
            each(self._delete_store, self._delete_personal, *clips)

    @contextmanager
    def deleting(self) -> Iterator[None]:
        """Mark that everything is deleted within: whoever takes the folder after a kill goes on.

        Where a part cannot be deleted the mark goes, too: that is said, and what is heard
        afterwards is not to be deleted.
        """
        with suppress(StorageError):  # a full disk keeps nobody from deleting
            with storage_errors(self._deleting), self._deleting.open("wb") as mark:
                os.fsync(mark.fileno())
            sync_folder(self.path)
        try:
            yield
        except Exception:
            self._unmark()
            raise
        self._unmark()

    def finish_deleting(self) -> None:
        """Finish deleting everything if a process was killed at it; raise as :meth:`taken` does.

        For who does not take the folder. A device that has it deletes everything itself.
        """
        if self._deleting.exists() and not self.runs:
            with self.as_owner(), self.taken():
                pass

    def _go_on_deleting(self) -> None:
        if self._deleting.exists():
            each(self._delete_store, self.delete_the_rest)
            self._unmark()
            _log.warning(
                "Everything in %s was being deleted when the program was ended: the rest of it is "
                "deleted now.",
                self.path,
            )

    def _unmark(self) -> None:
        with storage_errors(self._deleting):
            self._deleting.unlink(missing_ok=True)
        sync_folder(self.path)  # it must not come back by a power cut: what is heard now would go

    def _delete_store(self) -> None:
        each(*(partial(erase, file) for file in self.path.glob(f"{self.examples.name}*")))

    def delete_the_rest(self) -> None:
        """Delete all but the store and the global model, for a device that begins anew.

        Raises
        ------
        RunError
            If a device made of labelled clips runs; all others' are deleted all the same.
        StorageError
            If something cannot be deleted.
        """

        def remove(made: DeviceFolder) -> None:
            with made.taken():
                made.remove()

        clips = (partial(remove, made) for made in self.made_of_clips())
        # At last the empty folder, as closed as before.
        each(self._delete_personal, *clips, self.make)

    def remove(self) -> None:
        """Delete everything, and the folder itself if nothing else is in it."""
        self.delete_everything()
        with storage_errors(self._lock):
            self._lock.unlink(missing_ok=True)
        with suppress(OSError):  # if it holds anything else
            self.path.rmdir()


def each(*steps: Callable[[], object]) -> None:
    """Take all steps, also if one of them fails; then raise the first error."""
    first: ChorusError | None = None
    for step in steps:
        try:
            step()
        except ChorusError as error:
            first = first or error
    if first:
        raise first


def _remove(folder: Path) -> None:
    refuse_pipe(folder)
    with storage_errors(folder), suppress(FileNotFoundError):
        shutil.rmtree(folder)
