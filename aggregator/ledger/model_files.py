"""Files of global models, named by the SHA-256 of their bytes."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.ledger import History, Model, Version
from aggregator.ledger.folder import FederationFolder
from shared.architectures import Architecture, architecture_of
from shared.codecs.update_file import EncodedUpdate
from shared.errors import FederationError, WeightsError
from shared.features.start_file import kind_of, replacing_model
from shared.model_notes import NO_NOTES, ModelNotes
from shared.starter import beside
from shared.storage.files import copy_atomically, sha256_of, storage_errors, sync_folder
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.weights import StoredVector, Vector, Weights, load_weights, save_weights

_NEW: Final = "new.safetensors"
"""A file on its way to its name. Only one process, and one thread of it, writes to the folder."""


class ModelFiles:
    """A folder of safetensors files, each named by its digest.

    What is added is safe on the disk when the method returns, and never changed.

    Parameters
    ----------
    folder
        Where they lie; made with the first of them.
    architecture
        What the weights belong to.
    notes
        What files of weights say beside them.

    Attributes
    ----------
    folder, architecture, notes
        As given.

    Raises
    ------
    StorageError
        From the methods that write, if the disk is full or the folder cannot be written.
    FederationError
        From the methods that read, if a file is missing or damaged.
    """

    def __init__(
        self, folder: Path, architecture: Architecture, notes: ModelNotes = NO_NOTES
    ) -> None:
        self.folder = folder
        self.architecture = architecture
        self.notes = notes

    def path(self, digest: str) -> Path:
        """Name the file with this digest."""
        return self.folder / f"{digest}.safetensors"

    def has(self, model: Model) -> bool:
        """Say whether all files of a model are kept."""
        return all(self.path(digest).exists() for digest in model.files)

    def check_all(self, model: Model) -> None:
        """Check the digests of all files of a model."""
        for digest in model.files:
            self.check(digest)

    def check_ledger(self, versions: Sequence[Version], first: Weights | None) -> None:
        """Check that a ledger belongs to these files, and its current model is whole.

        Of however many models, the current one is read, which has five files at most. Earlier ones
        are checked when they are used.

        Parameters
        ----------
        versions
            Those whose files are kept, the newest first.
        first
            Where there are none: what the federation will begin with. Its file may be there, of a
            process that was killed before it entered it.
        """
        there = {path.stem for path in self.folder.glob("*.safetensors") if path.name != _NEW}
        # What a strategy remembers may be the same in two federations.
        named = {version.digest for version in versions}
        if there and first is not None:
            new = self.folder / _NEW
            save_weights(new, first, self.architecture, self.notes)
            named = {sha256_of(new)}
            new.unlink()
        if there and not there & named:
            raise FederationError(
                f"The ledger in {self.folder.parent} names none of the models beside it.",
                "Bring ledger and models back from the same copy, or begin anew with another "
                "--state.",
            )
        if versions:
            self.check_all(versions[0])

    def size(self, digest: str) -> int:
        """Give the bytes of a file."""
        try:
            return self.path(digest).stat().st_size
        except OSError as error:
            raise self._lost(digest) from error

    def check(self, digest: str) -> None:
        """Read a file and compare its digest with its name."""
        try:
            found = sha256_of(self.path(digest))
        except OSError as error:
            raise self._lost(digest) from error
        if found != digest:
            raise self._lost(digest)

    def add_weights(self, weights: Weights) -> str:
        """Write weights; give the file's digest.

        Its metadata hold architecture, task and :attr:`notes` alone, so equal weights have equal
        digests.
        """
        save_weights(self.folder / _NEW, weights, self.architecture, self.notes)
        return self._named()

    def add_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> str:
        """Write what a strategy remembers; give the file's digest."""
        write_tensors(self.folder / _NEW, arrays, {})
        return self._named()

    def add_copy(self, path: Path) -> str:
        """Copy a file as it is; give its digest."""
        copy_atomically(path, self.folder / _NEW)
        return self._named()

    def add_difference(self, difference: EncodedUpdate) -> str:
        """Write the difference between two models; give the file's digest."""
        difference.write(self.folder / _NEW)
        return self._named()

    def weights(self, digest: str) -> Weights:
        """Read weights, after a check of the digest: shape ``(parameters,)``, float32."""
        self.check(digest)
        try:
            return load_weights(self.path(digest), self.architecture)
        except WeightsError as error:
            raise self._lost(digest) from error

    def vector(self, digest: str) -> Vector:
        """Open weights to be read in pieces, after a check of the digest."""
        self.check(digest)
        try:
            return _WeightsFile(TensorFile(self.path(digest)), self.architecture)
        except WeightsError as error:
            raise self._lost(digest) from error

    def arrays(self, digest: str) -> dict[str, NDArray[Any]]:
        """Read what a strategy remembered, after a check of the digest."""
        self.check(digest)
        try:
            file = TensorFile(self.path(digest))
            arrays = {name: file.read(name) for name in file.tensors}
        except WeightsError as error:
            raise self._lost(digest) from error
        return arrays

    def export(self, digest: str, out: Path, statistics: str | None) -> Path | None:
        """Copy a model, and what its devices' statistics begin with beside it: both, or neither.

        Parameters
        ----------
        digest, statistics
            Of the files; nothing lies beside the copy if the second is ``None``.
        out
            Where the model goes.

        Returns
        -------
        Path or None
            Where what statistics begin with is.
        """
        wanted = [digest, *([statistics] if statistics else [])]
        for own in wanted:
            self.check(own)
        kind = kind_of(self.path(statistics)) if statistics else None
        with replacing_model(out, kind) as places:
            for own, place in zip(wanted, places, strict=False):
                shutil.copyfile(self.path(own), place)
        return beside(out, kind) if kind else None

    def keep(self, digests: Collection[str]) -> None:
        """Remove all files but these, and what was left by a killed process."""
        kept = {self.path(digest) for digest in digests}
        with storage_errors(self.folder):
            for path in self.folder.glob("*"):
                if path not in kept:
                    path.unlink(missing_ok=True)

    def _named(self) -> str:
        """Move the new file to its name."""
        new = self.folder / _NEW
        with storage_errors(new):
            digest = sha256_of(new)
            new.replace(self.path(digest))
        sync_folder(self.folder)  # the name is to be as safe as the content
        return digest

    def _lost(self, digest: str) -> FederationError:
        return FederationError(
            f"The file {self.path(digest)} is missing or damaged.",
            "Bring it back from a copy, or make an earlier model current: "
            "`aggregator models rollback ROUND`.",
        )


@dataclass(frozen=True, slots=True)
class _WeightsFile(StoredVector):
    """Weights in a file whose digest has been checked, read in pieces."""

    file: TensorFile
    architecture: Architecture

    def __len__(self) -> int:
        """Return the number of values."""
        return self.architecture.parameters

    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece."""
        start, stop, _ = where.indices(len(self))
        out = np.empty(max(0, stop - start), np.float32)
        for spec in self.architecture.manifest:
            begin, end = max(start, spec.where.start), min(stop, spec.where.stop)
            if begin < end:
                part = out[begin - start : end - start]
                self.file.read_into(spec.name, part, begin - spec.offset)
        return out


def files_of(history: History) -> ModelFiles:
    """Open the model files beside a ledger."""
    folder = FederationFolder(history.path.parent)
    return ModelFiles(folder.models, architecture_of(history.settings["model"], history.task))
