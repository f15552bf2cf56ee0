"""Voice models as safetensors files."""

from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from shared.errors import WeightsError
from shared.features.task_file import open_task_file, write_task_file
from shared.features.voice import Values, VoiceModel
from shared.task import Task

VERSION: Final = 2
"""Of what a device makes of the model: one of another version gives other vectors than the head
beside it has learnt from. The first did not infer how much of emotions is shown."""

_MOST: Final = 1 << 12
"""Coordinates that are believed."""

_ANOTHER: Final = "Fit one to speakers of this task, or take the one that belongs to the model."


def save_voice(path: Path, model: VoiceModel, task: Task) -> None:
    """Write a voice model to a file, as float32, with the task that it is of.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    tensors = {
        part.name: np.ascontiguousarray(getattr(model, part.name), np.float32)
        for part in fields(model)
    }
    write_task_file(path, "voice", {**tensors, "version": np.array([VERSION], np.int32)}, task)


def load_voice(path: Path, task: Task) -> VoiceModel:
    """Read a voice model of a task; shapes are checked before memory is set aside for values.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, no voice model, of another version or another task, or
        not finite.
    """
    none = WeightsError(f"{path} is no voice model.", _ANOTHER)
    file = open_task_file(path, "voice", task, otherwise=none)
    features, labels = task.front_end.features, len(task.labels)
    version = file.tensors.get("version")
    one = version is not None and (version.dtype, version.shape) == ("I32", (1,))
    if not one or int(file.read("version")[0]) != VERSION:
        raise WeightsError(
            f"{path} is a voice model of another version of Chorus.",
            "Make it again, with the model beside it, by `edge-client starter` or `simulate`.",
        )
    slot = file.tensors.get("spread")
    coordinates = slot.shape[0] if slot and len(slot.shape) == 1 else 0
    wanted = {
        "mean": (features,),
        "scale": (features,),
        "projection": (coordinates, features),
        "lift": (features, coordinates),
        "spread": (coordinates,),
        "emotions": (labels, coordinates),
        "belief": (4,),
    }
    found = {name: slot.shape for name, slot in file.tensors.items() if slot.dtype == "F32"}
    if found != wanted or not 1 <= coordinates <= _MOST or task.front_end.frames != 1:
        raise WeightsError(f"{path} does not hold the tensors of a voice model.", _ANOTHER)
    values: dict[str, Values] = {name: file.read(name).astype(np.float64) for name in wanted}
    whole = all(np.isfinite(own).all() for own in values.values())
    if not whole or min(values["scale"].min(), values["spread"].min()) <= 0:
        raise WeightsError(f"{path} holds values that no voice model has.", _ANOTHER)
    return VoiceModel(**values)
