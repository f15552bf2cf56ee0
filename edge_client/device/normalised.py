"""How a device's model is normalised: remembered beside the model, as long as that is kept.

A voice model or a prior lies beside it as a file. Where neither does, features are normalised by
what the device has heard alone; or not at all, if a mark says so.
"""

from pathlib import Path
from typing import Any

from shared.errors import WeightsError
from shared.features.start_file import keep_beside, load_start, save_beside, start_beside
from shared.features.statistics import Start
from shared.starter import beside
from shared.storage.files import storage_errors, write_atomically
from shared.storage.tensor_file import TensorFile
from shared.task import Task
from shared.weights import task_of

_NONE = "none\n"


def mark_of(model: Path) -> Path:
    """Name the file that says of a model that its features are not normalised."""
    return model.parent / f"{model.stem}.normalisation"


def keep_normalisation(model: Path, task: Task, begun: Start | None, *, normalises: bool) -> None:
    """Remember beside a model how it is normalised; what lies there already is not written again.

    Parameters
    ----------
    model
        The model's file.
    task
        Of the model.
    begun
        What statistics begin with, if with anything.
    normalises
        Whether features are normalised at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    if begun is None:
        keep_beside(model, {})
    elif not _lies_beside(model, task, begun):
        save_beside(model, begun, task)
    _mark(model, none=not normalises)


def normalisation_beside(model: Path, task: Task) -> dict[str, Any]:
    """Give the settings by which a model is normalised, as far as what lies beside it says.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    prior, voice = beside(model, "prior"), beside(model, "voice")
    if _is_of(prior, task):
        return {"prior": prior}
    if _is_of(voice, task):
        return {"normalisation": "voice", "voice": voice}
    return {"normalisation": "none"} if mark_of(model).exists() else {}


def _lies_beside(model: Path, task: Task, begun: Start) -> bool:
    there = start_beside(model)
    try:
        return there is not None and load_start(there, task).digest == begun.digest
    except WeightsError:
        return False


def _mark(model: Path, *, none: bool) -> None:
    mark = mark_of(model)
    if none and not mark.exists():
        write_atomically(mark, _NONE)
    elif not none:
        with storage_errors(mark):
            mark.unlink(missing_ok=True)


def _is_of(path: Path, task: Task) -> bool:
    """Say whether a file is there, and of the task."""
    return path.exists() and not task.difference(task_of(TensorFile(path).metadata, str(path)))
