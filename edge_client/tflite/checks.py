"""What is asked before a training run or a step begins: nothing has changed where it fails."""

import contextlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import TrainingError
from shared.layers import LSTM, Conv1D, Dense, StatisticsPooling
from shared.training import TrainingSettings

_MEGABYTE: Final = 1_000_000

_BATCH: Final = 20
"""Examples that a graph takes; larger batches take several turns, and room to add up gradients."""

_BASE: Final = 20 * _MEGABYTE
"""Bytes of a graph and the runtime, whatever the model."""

_CELLS: Final = 24
"""Values that a recurrent layer keeps of each unit and frame."""

_TENTH: Final = 10
"""Where only the head is trained, the body takes a tenth of a batch at a time."""


def check_batch(
    architecture: Architecture,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Raise :class:`TrainingError` unless a batch is one that a model can train on."""
    count, length = len(labels), architecture.frames
    if architecture.variable and features.ndim == 3:  # noqa: PLR2004 - examples, frames, features
        length = max(features.shape[1], architecture.reach)
    wanted = (count, length, architecture.features)
    if not count or features.shape != wanted or frames.shape != (count,):
        raise TrainingError(
            f"A batch should have features of shape ({count or 'n'}, {wanted[1]}, {wanted[2]}), "
            f"this one has {features.shape}."
        )
    if labels.min() < 0 or labels.max() >= architecture.labels:
        raise TrainingError(f"A label is outside 0 to {architecture.labels - 1}.")
    if not np.isfinite(features).all():
        raise TrainingError("Features to train on hold values that are not finite.")


def needed_memory(architecture: Architecture, settings: TrainingSettings) -> int:
    """Estimate the bytes that a training run sets aside, its outcome included."""
    trained = architecture.parameters - (architecture.head_offset if settings.head_only else 0)
    slots = {"adam": 2, "sgd": int(settings.momentum > 0)}[settings.optimizer]
    summed = 2 * int(settings.batch_size > _BATCH)
    # With the head alone, the runtime's memory is free again when the weights are taken out.
    outcome = 0 if settings.head_only else trained
    vectors = architecture.parameters + outcome + trained * (1 + slots + summed)
    body, head = _activations(architecture)
    kept = head + (body // _TENTH if settings.head_only else body)
    return _BASE + 4 * (vectors + kept)


def _activations(architecture: Architecture) -> tuple[int, int]:
    """Estimate the values that a training step keeps: of the body's layers, and of dense ones.

    A convolution keeps its input once for each frame under its kernel, and its output with mask,
    activation and gradient; a dense layer its input, cut, turned, and its gradient. With the base
    it comes to 58, 67 and 217 MB for dense, conv and lstm, of which 60, 60 and 220 were measured;
    where only the head is trained, to 42, 27 and 40 MB of 40, 30 and 40.
    """
    body, head = 0, 0
    time, width = architecture.frames, architecture.features
    for layer in architecture.layers:
        match layer:
            case Conv1D(filters=filters, kernel=kernel):
                time, rows, width = layer.outputs(time), kernel * width, filters
                body += time * (rows + 4 * width)
            case LSTM(units=units, sequences=sequences):
                body += _CELLS * time * units
                time, width = (time if sequences else 1), units
            case StatisticsPooling():
                body += 4 * time * width
                time, width = 1, 2 * width
            case Dense(units=units):
                head += 5 * time * width + 4 * units
                time, width = 1, units
    return _BATCH * body, _BATCH * head


def available_memory(root: Path = Path("/")) -> int | None:
    """Read how many bytes can be set aside without swapping; ``None`` where Linux does not say.

    A control group (version 2) may have a lower limit: that of a container, or of a service.
    """
    known: list[int] = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        known.append(_numbers(root / "proc/meminfo")["MemAvailable:"] * 1024)
    for group in _control_groups(root):
        with contextlib.suppress(OSError, ValueError, KeyError):
            limit = int((group / "memory.max").read_text())  # or the word max
            used = int((group / "memory.current").read_text())
            # What files left in memory goes as soon as there is another need for it.
            stat = _numbers(group / "memory.stat")
            known.append(limit - used + stat["inactive_file"] + stat["active_file"])
    return min(known, default=None)


def _control_groups(root: Path) -> list[Path]:
    """List the folders of this process's control group and of those around it."""
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            version, _, path = line.partition("::/")
            if version == "0":
                group = root / "sys/fs/cgroup" / path
                return [group, *group.parents]
    return []


def _numbers(path: Path) -> dict[str, int]:
    """Read the first number of each line by the word before it."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}


def check_memory(
    architecture: Architecture, settings: TrainingSettings, free: int | None = None
) -> None:
    """Raise :class:`TrainingError` unless there is memory enough to train.

    Parameters
    ----------
    architecture, settings
        What is to be trained.
    free
        Bytes that can be set aside; what the system says if not given.
    """
    needed = needed_memory(architecture, settings)
    free = available_memory() if free is None else free
    if free is not None and free < needed:
        raise TrainingError(
            f"Training {architecture.name} needs {needed // _MEGABYTE} MB of memory, "
            f"{free // _MEGABYTE} MB are free.",
            "Stop other programs, train only the head, or choose a smaller model.",
        )
