"""Utterances to put into a store or a device."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from edge_client.device.stored_utterance import StoredUtterance
from edge_client.hearing.utterance import Utterance
from shared.audio import RATE
from shared.task import DEFAULT_TASK, Task

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def frames(seed: int, count: int = 30) -> NDArray[np.float32]:
    """Draw features of frames."""
    return np.random.default_rng(seed).standard_normal((count, 34), np.float32)


def recognised(*probabilities: float, task: Task = DEFAULT_TASK) -> StoredUtterance:
    """Make what is known of an utterance before it is kept."""
    probabilities = probabilities or (0.1, 0.6, 0.2, 0.1)
    return StoredUtterance(0, NOON, 3.1, probabilities, task.names, str(task.front_end))


def utterance(seed: int = 0, seconds: float = 2.0) -> Utterance:
    """Make a sound."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * RATE), np.float32)
    return Utterance(noise / np.abs(noise).max(), 0.0)
