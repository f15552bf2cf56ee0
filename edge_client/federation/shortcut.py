"""A shorter way to a model: its difference to the one that the device has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from shared.architectures import Architecture, architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import UpdateFile
from shared.errors import WeightsError
from shared.model_notes import load_notes
from shared.protocol.messages import Announcement, File
from shared.round_settings import DOWNLOAD_CODECS
from shared.storage.files import replacing, sha256_of
from shared.weights import added, load_weights, save_weights


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What leads from one model to another.

    Attributes
    ----------
    model
        The model that it leads to.
    base
        Digest of the model that it begins at.
    file
        The difference.
    codec, architecture
        What the difference is written in, and what it is of.
    """

    model: File
    base: str
    file: File
    codec: str
    architecture: Architecture

    @classmethod
    def announced(cls, announcement: Announcement) -> Self | None:
        """Read the one that an announcement names; ``None`` if there is none to be followed."""
        found = announcement.difference
        if found is None or found.codec not in DOWNLOAD_CODECS:
            return None
        architecture = architecture_of(announcement.architecture, announcement.task)
        return cls(announcement.model, found.base, found.file, found.codec, architecture)

    def take(self, base: Path, difference: Path, out: Path) -> None:
        """Make the model, or nothing; takes as much memory as two models.

        Parameters
        ----------
        base, difference
            The files to begin with.
        out
            Where the model goes.

        Raises
        ------
        WeightsError
            If a file is missing or damaged, or they do not come to the model that was announced.
        StorageError
            If the disk is full.
        """
        file = UpdateFile(difference, make_codec(self.codec), self.architecture)
        weights = added(load_weights(base, self.architecture), file.delta)
        with replacing(out) as aside:
            save_weights(aside, weights, self.architecture, load_notes(base))
            if sha256_of(aside) != self.model.digest:
                raise WeightsError("The difference does not lead to the model that was announced.")
