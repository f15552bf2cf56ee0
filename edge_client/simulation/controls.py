"""The clients' control variates of SCAFFOLD, kept on disk between rounds."""

import re
import tempfile
from pathlib import Path

import numpy as np

from shared.files import storage_errors
from shared.vector_file import VectorFile
from shared.weights import Weights


class Controls:
    """One file a client and round, so that a run can go on from the round of its checkpoint.

    Parameters
    ----------
    folder
        Where the files lie, made with the first of them; a temporary folder if not given.
    length
        Number of values of each control variate.
    """

    def __init__(self, folder: Path | None, length: int) -> None:
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
        self._folder = folder
        self._length = length

    def of(self, client: str) -> Weights:
        """Read a client's control variate; zero before its first round."""
        rounds = self._rounds(client)
        if not rounds:
            return np.zeros(self._length, np.float32)
        return VectorFile(self._path(client, rounds[-1]), self._length)[:]

    def keep(self, client: str, number: int, control: Weights) -> None:
        """Keep what a client's control variate is after a round."""
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        VectorFile.write(self._path(client, number), control)

    def restore(self, number: int) -> None:
        """Forget what came after round ``number``."""
        for path in self._folder.glob("*"):
            if int(path.suffix[1:]) > number:
                path.unlink()

    def settle(self, number: int) -> None:
        """Remove what was replaced by round ``number`` or before."""
        for client in {path.stem for path in self._folder.glob("*")}:
            past = [kept for kept in self._rounds(client) if kept <= number]
            for kept in past[:-1]:
                self._path(client, kept).unlink()

    def _rounds(self, client: str) -> list[int]:
        found = (re.fullmatch(r".*\.(\d+)", path.name) for path in self._folder.glob(f"{client}.*"))
        return sorted(int(match[1]) for match in found if match)

    def _path(self, client: str, number: int) -> Path:
        return self._folder / f"{client}.{number}"
