"""Safetensors files of what belongs to a task beside its weights: statistics, voice models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from shared.errors import WeightsError
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import Task
from shared.weights import check_task

Kind = Literal["prior", "voice"]
"""What such a file holds."""


def write_task_file(
    path: Path, kind: Kind, tensors: Mapping[str, NDArray[Any]], task: Task
) -> None:
    """Write tensors with their kind and their task.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    text = json.dumps(task.to_dict(), separators=(",", ":"))
    write_tensors(path, tensors, {"kind": kind, "task": text})


def open_task_file(path: Path, kind: Kind, task: Task, *, otherwise: WeightsError) -> TensorFile:
    """Open a file of a kind and a task; which tensors it has, its reader checks.

    Parameters
    ----------
    path
        The file.
    kind, task
        What it should be, and of what.
    otherwise
        Raised if it is of no kind, or of another.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another kind or of another task.
    """
    file = TensorFile(path)
    if file.metadata.get("kind") != kind or "task" not in file.metadata:
        raise otherwise
    check_task(file.metadata, task, str(path))
    return file
