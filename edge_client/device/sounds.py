"""The sound of utterances in files: only where ``--keep-audio`` asks for it."""

import contextlib
import io
import shutil
from pathlib import Path

from shared.audio import RATE, Samples
from shared.storage.files import storage_errors, write_atomically

_MEGABYTE = 1_000_000


def files_of(folder: Path) -> list[tuple[int, Path]]:
    """List the utterances whose sound is in a folder, by their numbers, and the files."""
    found = (file for file in folder.glob("*.flac") if file.stem.isascii())
    return [(int(file.stem), file) for file in found if file.stem.isdecimal()]


class SoundFolder:
    """A folder of FLAC files named after the utterances' numbers; the oldest make way.

    The folder is looked through once, at the beginning; files of other names are left alone.

    Parameters
    ----------
    path
        The folder; made when the first sound is kept. Nobody else writes there.
    limit_mb
        Megabytes it may hold.

    Raises
    ------
    StorageError
        If the folder cannot be read.
    """

    def __init__(self, path: Path, *, limit_mb: float) -> None:
        self._path = path
        self._limit = limit_mb * _MEGABYTE
        with storage_errors(path):
            for leftover in path.glob(".[0-9]*-????????.flac"):  # of a killed process
                leftover.unlink(missing_ok=True)
            sizes = {number: file.stat().st_size for number, file in files_of(path)}
        self._sizes = dict(sorted(sizes.items()))
        self._used = sum(sizes.values())

    def keep(self, identifier: int, samples: Samples) -> None:
        """Write an utterance's sound (16 bit), and delete the oldest beyond the limit.

        Raises
        ------
        StorageError
            If the disk is full or the folder cannot be written.
        """
        import soundfile

        content = io.BytesIO()
        soundfile.write(content, samples, RATE, format="FLAC", subtype="PCM_16")
        data = content.getvalue()
        while self._sizes and self._used + len(data) > self._limit:
            self.forget(next(iter(self._sizes)))
        if self._used + len(data) <= self._limit:
            write_atomically(self._file(identifier), data)
            self._sizes[identifier] = len(data)
            self._used += len(data)

    def forget(self, identifier: int) -> None:
        """Delete an utterance's sound, if it was kept."""
        with storage_errors(self._path), contextlib.suppress(FileNotFoundError):
            self._file(identifier).unlink()
        self._used -= self._sizes.pop(identifier, 0)

    def clear(self) -> None:
        """Delete them all."""
        with storage_errors(self._path), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path)
        self._sizes.clear()
        self._used = 0

    def _file(self, identifier: int) -> Path:
        return self._path / f"{identifier}.flac"
