"""Voice models as safetensors files."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from shared.errors import WeightsError
from shared.features.expression import Expressions
from shared.features.task_file import open_task_file, write_task_file
from shared.features.voice import VoiceModel
from shared.storage.tensor_file import TensorFile
from shared.task import Task

if TYPE_CHECKING:
    from shared.features.moods import Values

VERSION: Final = 2
"""Of what a device makes of the model: one of another version gives other vectors than the head
beside it has learnt from. The first did not infer how much of emotions is shown."""

_MOST: Final = 1 << 12
"""Coordinates that are believed."""

_PARTS: Final = [part.name for part in fields(VoiceModel) if part.name != "expressions"]

_OF_PEOPLE: Final = "people_"
"""Before the names of what says how people differ in showing emotions, which not every file has."""

_PARTS_OF_PEOPLE: Final = [part.name for part in fields(Expressions)]

_ANOTHER: Final = "Fit one to speakers of this task, or take the one that belongs to the model."


def save_voice(path: Path, model: VoiceModel, task: Task) -> None:
    """Write a voice model to a file, as float32, with the task that it is of.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    tensors = {part: getattr(model, part) for part in _PARTS}
    if people := model.expressions:
        tensors |= {f"{_OF_PEOPLE}{part}": getattr(people, part) for part in _PARTS_OF_PEOPLE}
    kept = {name: np.ascontiguousarray(own, np.float32) for name, own in tensors.items()}
    write_task_file(path, "voice", {**kept, "version": np.array([VERSION], np.int32)}, task)


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
    coordinates = _length(file, "spread")
    wanted = {
        "mean": (features,),
        "scale": (features,),
        "projection": (coordinates, features),
        "lift": (features, coordinates),
        "spread": (coordinates,),
        "emotions": (labels, coordinates),
        "belief": (4,),
    }
    axes = _length(file, f"{_OF_PEOPLE}spread")
    of_people = {
        "projection": (axes, features),
        "lift": (axes, features),
        "emotions": (labels, axes),
        "rest": (axes,),
        "spread": (axes,),
    }
    if axes:
        wanted |= {f"{_OF_PEOPLE}{name}": shape for name, shape in of_people.items()}
    found = {name: slot.shape for name, slot in file.tensors.items() if slot.dtype == "F32"}
    small = 1 <= coordinates <= _MOST and axes <= _MOST
    if found != wanted or not small or task.front_end.frames != 1:
        raise WeightsError(f"{path} does not hold the tensors of a voice model.", _ANOTHER)
    values: dict[str, Values] = {name: file.read(name).astype(np.float64) for name in wanted}
    whole = all(np.isfinite(own).all() for own in values.values())
    positive = [name for name in wanted if name.endswith(("scale", "spread", "rest"))]
    if not whole or min(values[name].min() for name in positive) <= 0:
        raise WeightsError(f"{path} holds values that no voice model has.", _ANOTHER)
    people = None
    if axes:
        people = Expressions(**{part: values[f"{_OF_PEOPLE}{part}"] for part in _PARTS_OF_PEOPLE})
    return VoiceModel(**{part: values[part] for part in _PARTS}, expressions=people)


def _length(file: TensorFile, name: str) -> int:
    """Give the length of a vector in a file; 0 if it is not there, or has another shape."""
    slot = file.tensors.get(name)
    return slot.shape[0] if slot and len(slot.shape) == 1 else 0
