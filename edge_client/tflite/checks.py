"""What is asked before a training run or a step begins: nothing has changed where it fails."""

import contextlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import FEATURES, FRAMES, Architecture
from shared.emotions import EMOTIONS
from shared.errors import TrainingError
from shared.training import TrainingSettings

_MEGABYTE: Final = 1_000_000

_WORKING: Final[dict[str, int]] = {"dense": 60, "conv": 60, "lstm": 220}
"""MB for activations and the runtime's copies, besides weights, gradients and slots (measured)."""

_HEAD_WORKING: Final[dict[str, int]] = {"dense": 40, "conv": 30, "lstm": 40}
"""The same where only the head is trained."""

_GRAPH_BATCH: Final = 20
"""Larger batches take several turns, and room to add up their gradients."""


def check_batch(features: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
    """Raise :class:`TrainingError` unless a batch is one that a model can train on."""
    count = len(labels)
    if not count or features.shape != (count, FRAMES, FEATURES):
        raise TrainingError(
            f"A batch should have features of shape ({count or 'n'}, {FRAMES}, {FEATURES}), "
            f"this one has {features.shape}."
        )
    if labels.min() < 0 or labels.max() >= len(EMOTIONS):
        raise TrainingError(f"A label is outside 0 to {len(EMOTIONS) - 1}.")
    if not np.isfinite(features).all():
        raise TrainingError("Features to train on hold values that are not finite.")


def needed_memory(architecture: Architecture, settings: TrainingSettings) -> int:
    """Estimate the bytes that a training run sets aside, its outcome included."""
    trained = architecture.parameters - (architecture.head_offset if settings.head_only else 0)
    slots = {"adam": 2, "sgd": int(settings.momentum > 0)}[settings.optimizer]
    summed = 2 * int(settings.batch_size > _GRAPH_BATCH)
    # With the head alone, the runtime's memory is free again when the weights are taken out.
    outcome = 0 if settings.head_only else trained
    vectors = architecture.parameters + outcome + trained * (1 + slots + summed)
    working = (_HEAD_WORKING if settings.head_only else _WORKING)[architecture.name]
    return 4 * vectors + working * _MEGABYTE


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
