"""Files of what statistics begin with, of either kind: found beside a model, and read."""

import filecmp
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.features.prior import Prior, load_prior, save_prior
from shared.features.statistics import Start
from shared.features.task_file import Kind
from shared.features.voice_file import load_voice, save_voice
from shared.model_notes import ModelNotes
from shared.starter import beside
from shared.storage.files import replacing, storage_errors
from shared.storage.tensor_file import TensorFile
from shared.task import Task
from shared.weights import Weights, save_weights

KINDS: Final[tuple[Kind, ...]] = ("prior", "voice")
"""What such a file may hold, in the order in which it is looked for."""

LARGEST_START: Final = 1 << 24
"""Bytes of such a file that a federation hands out: one for the largest Whisper has 6 MB."""


def start_beside(model: Path) -> Path | None:
    """Find what statistics begin with beside the file of a model; ``None`` if nothing is there."""
    return next((path for kind in KINDS if (path := beside(model, kind)).exists()), None)


@contextmanager
def replacing_model(model: Path, kind: Kind | None) -> Iterator[tuple[Path, Path]]:
    """Give paths to write a model and its start to; put both in place when the block ends well.

    Two files cannot be replaced at once, and a model with what another one's statistics begin with
    answers wrongly, in silence. So where what lies beside it changes, the earlier model goes first
    and the new one comes last: a process that is killed in between leaves none. Whatever goes wrong
    before, both stay.

    Parameters
    ----------
    model
        The model's file.
    kind
        What goes beside it, as the second path; if ``None``, nothing does. What else lies there
        goes.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with replacing(model) as new, ExitStack() as stack:
        start = stack.enter_context(replacing(beside(model, kind))) if kind else new
        yield new, start
        with storage_errors(model):
            if not _lies_beside(model, kind, start):
                model.unlink(missing_ok=True)
            for other in KINDS:
                if other != kind:
                    beside(model, other).unlink(missing_ok=True)


def save_model(
    model: Path,
    weights: Weights,
    architecture: Architecture,
    notes: ModelNotes,
    begun: Start | None,
) -> Path | None:
    """Write a model and what its statistics begin with, as :func:`replacing_model` puts them.

    Returns
    -------
    pathlib.Path or None
        The file beside the model, if there is to be one.

    Raises
    ------
    CorpusError
        As :func:`shared.features.voice_file.save_voice`.
    StorageError
        If the disk is full or the folder cannot be written.
    """
    kind = _kind_of(begun) if begun else None
    with replacing_model(model, kind) as (new, start):
        save_weights(new, weights, architecture, notes)
        if begun:
            _save(start, begun, architecture.task)
    return beside(model, kind) if kind else None


def save_beside(model: Path, begun: Start, task: Task) -> None:
    """Write what statistics begin with beside the file of a model, where none lies yet.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    _save(beside(model, _kind_of(begun)), begun, task)


def _save(path: Path, begun: Start, task: Task) -> None:
    """Write what statistics begin with, of either kind."""
    if isinstance(begun, Prior):
        save_prior(path, begun, task)
    else:
        save_voice(path, begun, task)


def _kind_of(begun: Start) -> Kind:
    return "prior" if isinstance(begun, Prior) else "voice"


def _lies_beside(model: Path, kind: Kind | None, start: Path) -> bool:
    """Say whether a file of a kind, or none, is all that lies beside a model already."""
    there = [each for each in KINDS if beside(model, each).exists()]
    if there != ([kind] if kind else []):
        return False
    return kind is None or filecmp.cmp(start, beside(model, kind), shallow=False)


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
