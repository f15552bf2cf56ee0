"""The state folder: what a device keeps between one start and the next."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import RunError
from shared.files import lock, storage_errors


class StateFolder:
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
    federations
        A folder for each federation that the device takes part in; in ``personal``.
    personal
        A folder for whatever else is made of what this device has heard: kept sound, a personal
        model, updates that wait to be sent. It is deleted with the examples.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.examples = path / "examples.sqlite"
        self.model = path / "model.safetensors"
        self.personal = path / "personal"
        self.sounds = self.personal / "sounds"
        self.federations = self.personal / "federations"
        self._lock = path / "lock"

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the folder to oneself, as a device that runs.

        Raises
        ------
        RunError
            If another process has it.
        StorageError
            If it cannot be written.
        """
        with storage_errors(self.path):
            # Readable by nobody else: these are somebody's emotions.
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.personal.mkdir(exist_ok=True, mode=0o700)
        handle = lock(
            self._lock,
            RunError(
                f"Another edge-client is running with {self.path}.",
                "End it first, or give another --state.",
            ),
        )
        try:
            yield
        finally:
            os.close(handle)

    def delete_personal(self) -> None:
        """Delete the folder ``personal``, and stores that were set aside because of damage."""
        with storage_errors(self.personal), suppress(FileNotFoundError):
            shutil.rmtree(self.personal)
        with storage_errors(self.path):
            for file in self.path.glob(f"{self.examples.stem}-damaged-*"):
                file.unlink(missing_ok=True)
