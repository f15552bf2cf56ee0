"""A federation in one file: copied while it runs, and put back.

The file is a tar, uncompressed, as models do not compress: ``ledger.sqlite``, the keys that devices
know this federation by, the list of its members, and ``models/DIGEST.safetensors``, as the state
folder calls them, and last ``backup.json``, which names them with their digests. Updates of a round
under way are not in it: a federation that is put back gives that round up.
"""

import io
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from aggregator.ledger import History, Ledger
from aggregator.ledger.charges import spent_if_lost
from aggregator.ledger.database import copied_elsewhere
from aggregator.ledger.filling import filled
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles, files_of
from shared.errors import FederationError, TrustError
from shared.storage.files import open_file, refuse_replacing, replacing, sha256_of, sync_folder
from shared.storage.scratch import scratch_beside

_CONTENTS: Final = "backup.json"
_LEDGER: Final = "ledger.sqlite"
_TRUST: Final = tuple(path.name for path in FederationFolder(Path()).trust)

_LARGEST_CONTENTS: Final = 1 << 24
"""Bytes of ``backup.json`` that are believed: the names of a hundred thousand models."""


class _Contents(BaseModel):
    """What ``backup.json`` says."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["chorus-aggregator-backup"] = "chorus-aggregator-backup"
    version: Literal[1] = 1
    files: dict[str, str]
    """SHA-256, in hexadecimal, of each file, by its name."""

    @field_validator("files")
    @classmethod
    def _check_names(cls, files: dict[str, str]) -> dict[str, str]:
        """Let nothing lie anywhere but where the state folder has it."""
        if _LEDGER not in files:
            raise ValueError("it names no ledger")
        ours = (_LEDGER, *_TRUST)
        if any(name not in (*ours, _model(digest)) for name, digest in files.items()):
            raise ValueError("it names a file that no state folder has")
        return files


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes
    ----------
    federation
        Its name.
    round
        The round that its current model is the result of; 0 for the initial one.
    models
        Files of models in it.
    settings
        What it was last served with, as the ledger has it; ``state`` is another folder's.
    """

    federation: str
    round: int
    models: int
    settings: dict[str, Any]


def back_up(folder: FederationFolder, out: Path) -> Backup:
    """Copy a federation into a file that only its owner can read, whether it is served or not.

    What a killed process has left beside that file is removed.

    Raises
    ------
    FederationError
        If there is none, or a file of its current model is missing or damaged.
    TrustError
        If the list of its members is damaged.
    StorageError
        If the disk is full, or the file cannot be written.
    SettingsError
        If the file is one of the federation's own.
    """
    refuse_replacing(folder.lasting(), [out])
    with (
        scratch_beside(out) as scratch,
        replacing(out, 0o600, durable=True, within=scratch) as aside,
    ):
        copy = _private(scratch / _LEDGER)
        with History(folder.ledger) as history:
            history.copy_to(copy)
            files = files_of(history)
        # What the ledger said at that moment counts, whatever rounds end meanwhile.
        with History(copy) as moment, tarfile.open(aside, "w") as tar:
            tar.add(copy, _LEDGER)
            trust = _add_trust(tar, folder, scratch)
            added = _add_models(tar, moment, files)
            models = {_model(digest): digest for digest in added}
            contents = _Contents(files={_LEDGER: sha256_of(copy)} | trust | models)
            text = contents.model_dump_json(indent=2).encode()
            entry = tarfile.TarInfo(_CONTENTS)
            entry.size, entry.mode = len(text), 0o600
            tar.addfile(entry, io.BytesIO(text))
            return _described(moment, contents)


def restore(file: Path, folder: FederationFolder) -> Backup:
    """Put a federation back into a state folder that holds nothing.

    It is a run of its own from then on, which its devices are told: they may have done rounds that
    it knows nothing of. A round that was under way is given up, and charged where its sum may be
    known.

    Raises
    ------
    FederationError
        If the file is missing, damaged or no backup, or the folder holds something.
    MissingPartError
        If what accounts for a privacy budget is not installed, and the round is charged.
    StorageError
        If the disk is full or the folder cannot be written. The folder is then as it was.
    """
    # Root opens the backup, which the folder's owner may not be allowed to read.
    with (
        _opened(file) as source,
        filled(folder.path, (*_TRUST, "models", "lock"), _LEDGER) as built,
    ):
        new = FederationFolder(built)
        new.models.mkdir(mode=0o700)
        contents = _unpack(source, file, new.path)
        ledger = Ledger(new.ledger)
        try:
            spent = spent_if_lost(ledger)
            ledger.begin_another_run("put back from a backup", spent=spent)
            return _described(ledger, contents)
        finally:
            ledger.close()
            for made in (new.models, new.path):
                sync_folder(made)


def _model(digest: str) -> str:
    return f"models/{digest}.safetensors"


def _described(history: History, contents: _Contents) -> Backup:
    number = history.find(None).round
    models = sum(name == _model(digest) for name, digest in contents.files.items())
    return Backup(history.settings["federation"], number, models, history.settings)


def _add_trust(tar: tarfile.TarFile, folder: FederationFolder, scratch: Path) -> dict[str, str]:
    """Add keys and members, as far as they are there; give their digests."""
    added = {}
    for path in folder.trust:
        if path.exists():
            copy = _private(scratch / path.name)
            if path == folder.members:
                _copy_members(path, copy)
            else:
                shutil.copyfile(path, copy)
            tar.add(copy, path.name)
            added[path.name] = sha256_of(copy)
    return added


def _private(path: Path) -> Path:
    """Make a file that its owner alone can read, to be written to."""
    path.touch(0o600, exist_ok=False)
    return path


def _copy_members(path: Path, copy: Path) -> None:
    """Copy the list of members, which others may be writing."""
    try:
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(copy)) as to,
            copied_elsewhere(),
        ):
            source.backup(to)
    except sqlite3.DatabaseError as error:
        raise TrustError(
            f"The list of members {path} cannot be copied ({error}).",
            "Bring the file back from a copy.",
        ) from error


def _add_models(tar: tarfile.TarFile, moment: History, files: ModelFiles) -> list[str]:
    """Add the models that are kept; those of the current version must be."""
    current = moment.find(None).files
    digests = {digest for version in moment.versions() for digest in version.files}
    added = []
    for digest in sorted(digests):
        try:
            files.check(digest)
            tar.add(files.path(digest), _model(digest))
        except (FederationError, FileNotFoundError):
            if digest in current:
                raise
        else:
            added.append(digest)
    return added


def _opened(file: Path) -> io.FileIO:
    try:
        return open_file(file)
    except FileNotFoundError as error:
        raise FederationError(f"There is no backup {file}.", "Check the name.") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def _unpack(opened: io.FileIO, file: Path, into: Path) -> _Contents:
    """Write the files of a backup, each checked."""
    try:
        with tarfile.open(fileobj=_Source(opened, file), mode="r:") as tar:
            contents = _Contents.model_validate_json(_member(tar, _CONTENTS).read())
            for name, digest in contents.files.items():
                (into / name).touch(0o600, exist_ok=False)
                with (into / name).open("wb") as target:
                    shutil.copyfileobj(_member(tar, name), target)
                    target.flush()
                    os.fsync(target.fileno())
                if sha256_of(into / name) != digest:
                    raise _damaged(file)
    except (tarfile.TarError, ValueError, EOFError, KeyError) as error:
        raise _damaged(file) from error
    return contents


class _Source(io.RawIOBase):
    """A backup that is read: what the disk says of it is not about the folder that is written."""

    def __init__(self, file: io.FileIO, path: Path) -> None:
        self._file = file
        self._path = path

    def read(self, size: int = -1) -> bytes:
        """Read; raise :class:`FederationError` where the disk fails."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Give the place."""
        return self._file.tell()


def _unreadable(path: Path, error: OSError) -> FederationError:
    return FederationError(f"Cannot read the backup {path}: {error.strerror}.", "Copy it again.")


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of a backup."""
    entry = tar.getmember(name)
    # A sparse file says that it is larger than what is there.
    source = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if source is None or (name == _CONTENTS and entry.size > _LARGEST_CONTENTS):
        raise KeyError(name)
    return source


def _damaged(file: Path) -> FederationError:
    return FederationError(
        f"{file} is no whole backup of a federation.",
        "Give a file that `aggregator backup` wrote, or an older one.",
    )
