"""A stopped training run on disk: whole or not there, and no larger than it has to be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_client.learning.training import OptimizerState, Progress
from shared.architectures import Architecture
from shared.errors import RunError, WeightsError
from shared.storage.tensor_file import TensorFile, write_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLOTS: Final = ("m", "v", "momentum")

_STEPS: Final = 1 << 17
"""The most losses a file holds: one a step, and no round has as many."""


def save_progress(path: Path, progress: Progress, architecture: Architecture) -> None:
    """Write how far a training run has come.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written; an earlier file is kept then.
    """
    arrays: dict[str, NDArray[Any]] = {
        "weights": progress.weights,
        "losses": np.array(progress.losses, np.float64),
        **progress.optimizer.slots,
    }
    facts = {
        "architecture": architecture.name,
        "step": progress.step,
        "optimizer_step": progress.optimizer.step,
    }
    write_tensors(path, arrays, {"facts": json.dumps(facts)})


def load_progress(path: Path, architecture: Architecture) -> Progress:
    """Read what :func:`save_progress` wrote, to go on to the same weights, bit for bit.

    Raises
    ------
    RunError
        If there is no such file, or it is damaged, of another architecture, or too large.
    """
    try:
        file = TensorFile(path)
        facts = json.loads(file.metadata["facts"])
        owner, step, taken = (facts[name] for name in ("architecture", "step", "optimizer_step"))
        if owner != architecture.name:
            raise _unreadable(path, f"it belongs to {owner}")
        _check(file, architecture)
        arrays = {name: file.read(name) for name in file.tensors}
        state = OptimizerState(int(taken), arrays)
        weights, losses = arrays.pop("weights"), arrays.pop("losses")
        return Progress(int(step), weights, state, tuple(losses.tolist()))
    except WeightsError as error:
        raise _unreadable(path, error.problem.rstrip(".")) from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error


def _check(file: TensorFile, architecture: Architecture) -> None:
    """Raise unless the vectors are a training run's, before memory is set aside for them."""
    whole, head = architecture.parameters, architecture.parameters - architecture.head_offset
    for name, slot in file.tensors.items():
        if name == "losses":
            fits = slot.dtype == "F64" and len(slot.shape) == 1 and slot.size <= _STEPS
        else:
            lengths = (whole,) if name == "weights" else (whole, head) if name in _SLOTS else ()
            fits = slot.dtype == "F32" and len(slot.shape) == 1 and slot.size in lengths
        if not fits:
            raise _unreadable(file.path, f"{name} is not what it should be")


def _unreadable(path: Path, why: str) -> RunError:
    return RunError(
        f"The stopped training in {path} cannot be read: {why}.",
        "Delete it: the training then starts again from the global model.",
    )
