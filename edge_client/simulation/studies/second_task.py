"""The language as a second task: each clip teaches by its emotion, and again by its language.

Goel & Beigi (2020) give a network a second output for the language. Here both are labels of one
softmax, and each clip is there twice, under either. Half of the answers then are of each task, and
within a task the loss is that of an output of its own: -log p(label) is -log p(label | task), and
-log p(task), which no clip can change, as both tasks have the same clips. So every engine trains
it, and what recognises emotion afterwards is the model without the language's logits.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.settings import SimulationSettings
from shared.architectures import Architecture
from shared.features.labelled_clips import together
from shared.layers import LOGITS
from shared.training import Examples
from shared.weights import Weights, split


def with_languages(settings: SimulationSettings, count: int) -> SimulationSettings:
    """Add so many languages to the labels of a task.

    Raises
    ------
    SettingsError
        If these are more labels than a task may have.
    """
    names = (*settings.labels, *(f"language-{number}" for number in range(count)))
    return SimulationSettings.parse({**settings.model_dump(), "labels": names})


def taught_twice(examples: Examples, spoken: NDArray[np.integer[Any]], emotions: int) -> Examples:
    """Put each example a second time behind all, labelled by its language.

    Parameters
    ----------
    examples
        Labelled by emotion: 0 to ``emotions`` - 1.
    spoken
        The language of each, shape ``(n,)``, from 0.
    emotions
        Number of labels of the first task.
    """
    again = replace(examples, labels=(emotions + spoken).astype(np.int32))
    return together([examples, again])


def without_languages(weights: Weights, wide: Architecture, own: Architecture) -> Weights:
    """Take the logits of languages out of a model's weights.

    Parameters
    ----------
    weights, wide
        The model of both tasks.
    own
        The same for emotions alone.

    Returns
    -------
    Weights
        Shape ``(own.parameters,)``.
    """
    tensors = split(weights, wide)
    parts = [
        tensors[spec.name][..., : own.labels] if spec.layer == LOGITS else tensors[spec.name]
        for spec in own.manifest
    ]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
