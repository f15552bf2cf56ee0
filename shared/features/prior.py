"""What statistics begin with before a device has heard anything: those of other people."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsError
from shared.features.task_file import open_task_file, write_task_file
from shared.task import Task

_MOST: Final = 1 << 20
"""Frames that a prior may count for."""

_ANOTHER: Final = "Give what `edge-client starter` wrote."


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean and deviation of each feature over other people's utterances.

    Attributes
    ----------
    mean, deviation
        Shape ``(features,)``, float64.
    count
        As many frames as they count for, beside those that are heard.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    count: int

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of its values: statistics that began with another are told."""
        found = hashlib.sha256(str(self.count).encode())
        for part in (self.mean, self.deviation):
            found.update(part.tobytes())
        return found.hexdigest()


def save_prior(path: Path, prior: Prior, task: Task) -> None:
    """Write a prior to a file, with the task that it is of.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    tensors = {
        "mean": prior.mean.astype(np.float32),
        "deviation": prior.deviation.astype(np.float32),
        "count": np.array([prior.count], np.int32),
    }
    write_task_file(path, "prior", tensors, task)


def load_prior(path: Path, task: Task) -> Prior:
    """Read a prior of a task, checked before memory is set aside.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, no prior, or of another task.
    """
    none = WeightsError(f"{path} holds no statistics to begin with.", _ANOTHER)
    file = open_task_file(path, "prior", task, otherwise=none)
    features = (task.front_end.features,)
    wanted = {"mean": ("F32", features), "deviation": ("F32", features), "count": ("I32", (1,))}
    if {name: (slot.dtype, slot.shape) for name, slot in file.tensors.items()} != wanted:
        raise _other(path)
    mean, deviation = (file.read(name).astype(np.float64) for name in ("mean", "deviation"))
    count = int(file.read("count")[0])
    whole = np.isfinite(mean).all() and np.isfinite(deviation).all()
    if not whole or deviation.min() < 0 or not 0 < count <= _MOST:
        raise _other(path)
    return Prior(mean, deviation, count)


def _other(path: Path) -> WeightsError:
    return WeightsError(f"{path} holds statistics that cannot be.", _ANOTHER)
