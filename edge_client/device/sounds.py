"""The sound of utterances in files: only where ``--keep-audio`` asks for it."""

import contextlib
import io
import shutil
from pathlib import Path

from shared.audio import RATE, Samples
from shared.files import storage_errors, write_atomically

_MEGABYTE = 1_000_000


class SoundFolder:
    """A folder of FLAC files named after the utterances' numbers; the oldest make way.

    Parameters
    ----------
    path
        The folder; made when the first sound is kept.
    limit_mb
        Megabytes it may hold.
    """

    def __init__(self, path: Path, *, limit_mb: float) -> None:
        self._path = path
        self._limit = limit_mb * _MEGABYTE

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
        files = sorted(self._path.glob("*.flac"), key=lambda file: int(file.stem))
        sizes = [file.stat().st_size for file in files]
        used = sum(sizes) + len(data)
        for file, size in zip(files, sizes, strict=True):
            if used <= self._limit:
                break
            file.unlink(missing_ok=True)
            used -= size
        if used <= self._limit:
            write_atomically(self._file(identifier), data)

    def forget(self, identifier: int) -> None:
        """Delete an utterance's sound, if it was kept."""
        with storage_errors(self._path), contextlib.suppress(FileNotFoundError):
            self._file(identifier).unlink()

    def clear(self) -> None:
        """Delete them all."""
        with storage_errors(self._path), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path)

    def _file(self, identifier: int) -> Path:
        return self._path / f"{identifier}.flac"
