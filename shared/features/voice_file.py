"""Voice models as safetensors files."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import CorpusError, WeightsError
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
    CorpusError
        If it has values that :func:`load_voice` would not take: nothing is then replaced.
    StorageError
        If the disk is full or the folder cannot be written.
    """
    tensors = {part: getattr(model, part) for part in _PARTS}
    if people := model.expressions:
        tensors |= {f"{_OF_PEOPLE}{part}": getattr(people, part) for part in _PARTS_OF_PEOPLE}
    with np.errstate(over="ignore"):
        kept = {name: np.ascontiguousarray(own, np.float32) for name, own in tensors.items()}
    if not _can_be(kept):
        raise CorpusError(
            "The voice model that was fitted holds values that no voice model has.",
            "Look for clips that are copies of each other, or silent; or choose "
            "--normalisation device.",
        )
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
    if not _can_be(values):
        raise WeightsError(f"{path} holds values that no voice model has.", _ANOTHER)
    people = None
    if axes:
        people = Expressions(**{part: values[f"{_OF_PEOPLE}{part}"] for part in _PARTS_OF_PEOPLE})
    return VoiceModel(**{part: values[part] for part in _PARTS}, expressions=people)


def _can_be(values: Mapping[str, NDArray[np.floating[Any]]]) -> bool:
    """Say whether all is finite, and positive what is divided by."""
    positive = [own for name, own in values.items() if name.endswith(("scale", "spread", "rest"))]
    whole = all(np.isfinite(own).all() for own in values.values())
    return whole and all((own > 0).all() for own in positive)


def _length(file: TensorFile, name: str) -> int:
    """Give the length of a vector in a file; 0 if it is not there, or has another shape."""
    slot = file.tensors.get(name)
    return slot.shape[0] if slot and len(slot.shape) == 1 else 0
