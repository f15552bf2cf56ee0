"""What simulated clients keep between rounds: control variates (SCAFFOLD), residuals (codecs)."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np

from shared.errors import RunError
from shared.storage.files import storage_errors, sync_folder
from shared.vector_file import VectorFile
from shared.weights import Weights


class ClientVectors:
    """One vector a client, in a file for each round that changed it.

    So a run can go on from the round of its checkpoint, and clients cost no memory.

    Parameters
    ----------
    folder
        Where the files lie, made with the first of them; vectors of several kinds may share it. A
        temporary folder if not given.
    kind
        What they are: part of the files' names.
    length
        Number of values of each.
    """

    def __init__(self, folder: Path | None, kind: str, length: int) -> None:
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
        self._folder = folder
        self._kind = kind
        self._length = length
        # Looked up once: with ten thousand clients, reading the folder takes a while.
        self._rounds: dict[str, list[int]] = {}
        for path in sorted(folder.glob(f"*.{kind}.*")):
            if match := re.fullmatch(rf"(.+)\.{re.escape(kind)}\.(\d+)", path.name):
                self._rounds.setdefault(match[1], []).append(int(match[2]))
        for rounds in self._rounds.values():
            rounds.sort()
        self._unsynced: set[tuple[str, int]] = set()

    def of(self, client: str, number: int) -> Weights:
        """Read what a client's vector was before round ``number``; zero before its first.

        Raises
        ------
        RunError
            If its file is damaged.
        """
        if not (before := [past for past in self._rounds.get(client, ()) if past < number]):
            return np.zeros(self._length, np.float32)
        path = self._path(client, before[-1])
        vector = VectorFile(path, self._length)[:]
        if len(vector) != self._length:
            raise RunError(
                f"{path} is damaged (it has become shorter).",
                "Its run cannot be resumed; start it again with --overwrite.",
            )
        return vector

    def keep(self, client: str, number: int, vector: Weights) -> None:
        """Keep what a client's vector is after a round, the last one so far; once more, perhaps."""
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        VectorFile.write(self._path(client, number), vector)
        self._unsynced.add((client, number))
        rounds = self._rounds.setdefault(client, [])
        if number not in rounds:
            rounds.append(number)

    def restore(self, number: int) -> None:
        """Forget what came after round ``number``."""
        for client, rounds in self._rounds.items():
            self._drop(client, [later for later in rounds if later > number])

    def sync(self, number: int) -> None:
        """Let what clients remember of round ``number`` and before be there after a power cut."""
        last = {
            (client, past[-1])
            for client, rounds in self._rounds.items()
            if (past := [own for own in rounds if own <= number])
        }
        fresh = sorted(last & self._unsynced)
        for client, own in fresh:
            with storage_errors(path := self._path(client, own)), path.open("rb") as file:
                os.fsync(file.fileno())
        if fresh:
            sync_folder(self._folder)
        self._unsynced = {(client, own) for client, own in self._unsynced if own > number}

    def settle(self, number: int) -> None:
        """Remove what was replaced by round ``number`` or before."""
        for client, rounds in self._rounds.items():
            self._drop(client, [past for past in rounds if past <= number][:-1])

    def _drop(self, client: str, numbers: list[int]) -> None:
        for number in numbers:
            self._path(client, number).unlink(missing_ok=True)
            self._rounds[client].remove(number)

    def _path(self, client: str, number: int) -> Path:
        return self._folder / f"{client}.{self._kind}.{number}"
