"""Files of what statistics begin with, of either kind: found beside a model, and read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.errors import WeightsError
from shared.features.prior import Prior, load_prior, save_prior
from shared.features.statistics import Start
from shared.features.task_file import Kind
from shared.features.voice_file import load_voice, save_voice
from shared.starter import beside
from shared.storage.files import copy_atomically, storage_errors
from shared.storage.tensor_file import TensorFile
from shared.task import Task

KINDS: Final[tuple[Kind, ...]] = ("prior", "voice")
"""What such a file may hold, in the order in which it is looked for."""

LARGEST_START: Final = 1 << 24
"""Bytes of such a file that a federation hands out: one for the largest Whisper has 6 MB."""


def start_beside(model: Path) -> Path | None:
    """Find what statistics begin with beside the file of a model; ``None`` if nothing is there."""
    return next((path for kind in KINDS if (path := beside(model, kind)).exists()), None)


def keep_beside(model: Path, given: Mapping[Kind, Path | None]) -> None:
    """Keep what statistics begin with beside the file of a model, and no other.

    Parameters
    ----------
    model
        The model's file.
    given
        The file of a kind that belongs to it, if any.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    for kind in KINDS:
        path, source = beside(model, kind), given.get(kind)
        if source is None:
            with storage_errors(path):
                path.unlink(missing_ok=True)
        else:
            copy_atomically(source, path)


def save_beside(model: Path, begun: Start, task: Task) -> Path:
    """Write what statistics begin with beside the file of a model, and leave no other there.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    prior, voice = beside(model, "prior"), beside(model, "voice")
    if isinstance(begun, Prior):
        save_prior(prior, begun, task)
        made, other = prior, voice
    else:
        save_voice(voice, begun, task)
        made, other = voice, prior
    with storage_errors(other):
        other.unlink(missing_ok=True)
    return made


def kind_of(path: Path) -> Kind:
    """Read which kind a file is of.

    Raises
    ------
    WeightsError
        If it is missing, damaged, or of neither.
    """
    named = TensorFile(path).metadata.get("kind")
    for kind in KINDS:
        if kind == named:
            return kind
    raise WeightsError(
        f"{path} is neither a voice model nor statistics to begin with.",
        "Give what `edge-client starter` wrote beside the model.",
    )


def check_start(path: Path, task: Task) -> None:
    """Check that a file can be handed out to devices.

    Raises
    ------
    WeightsError
        As :func:`load_start`; or it is too large.
    """
    load_start(path, task)
    if (size := path.stat().st_size) > LARGEST_START:
        raise WeightsError(
            f"{path} has {size} bytes; devices take {LARGEST_START} of what statistics begin with.",
            "Fit a voice model with fewer coordinates.",
        )


def load_start(path: Path, task: Task) -> Start:
    """Read what statistics begin with, checked as :func:`load_prior` and :func:`load_voice` do.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another task, or of neither kind.
    """
    return load_voice(path, task) if kind_of(path) == "voice" else load_prior(path, task)
