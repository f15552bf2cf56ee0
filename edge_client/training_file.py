"""A stopped training run on disk: whole or not there, and no larger than it has to be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from edge_client.training import OptimizerState, Progress
from shared.architectures import Architecture
from shared.errors import RunError
from shared.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLOTS: Final = ("m", "v", "momentum")

_VECTORS: Final = 3
"""The most vectors a file holds: the weights, and Adam's two moments."""

_HEADER: Final = 1 << 20
"""Bytes for everything else, the loss of each step among them."""


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
    write_atomically(path, save(arrays, {"facts": json.dumps(facts)}))


def load_progress(path: Path, architecture: Architecture) -> Progress:
    """Read what :func:`save_progress` wrote, to go on to the same weights, bit for bit.

    Raises
    ------
    RunError
        If there is no such file, or it is damaged, of another architecture, or too large.
    """
    try:
        if path.stat().st_size > _VECTORS * 4 * architecture.parameters + _HEADER:
            raise _unreadable(path, "it is too large")
        with safe_open(path, "numpy") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        weights, losses = arrays.pop("weights"), arrays.pop("losses")
        owner, step, taken = (facts[name] for name in ("architecture", "step", "optimizer_step"))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if owner != architecture.name:
        raise _unreadable(path, f"it belongs to {owner}")
    if weights.shape != (architecture.parameters,) or arrays.keys() - set(_SLOTS):
        raise _unreadable(path, "it holds other vectors")
    return Progress(int(step), weights, OptimizerState(int(taken), arrays), tuple(losses.tolist()))


def _unreadable(path: Path, why: str) -> RunError:
    return RunError(
        f"The stopped training in {path} cannot be read: {why}.",
        "Delete it: the training then starts again from the global model.",
    )
