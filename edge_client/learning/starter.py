"""A model to start with, made of the corpora that a person has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.softmax_regression import fit_softmax
from edge_client.learning.voice_fitting import fit_voice
from shared.architectures import Architecture, architecture_of
from shared.corpora import Corpus
from shared.errors import SettingsError
from shared.features.cache import ClipFeatures, extract_features
from shared.features.voice import VoiceModel
from shared.front_ends import front_end_of
from shared.labelled_clips import normalised_by_owner
from shared.task import Task
from shared.training import Examples
from shared.weights import Weights


@dataclass(frozen=True)
class Starter:
    """What a device can begin with.

    Attributes
    ----------
    weights, architecture
        Of the head.
    voice
        Tells voices from moods.
    skipped
        How many clips could not be used.
    """

    weights: Weights
    architecture: Architecture
    voice: VoiceModel
    skipped: int


def make_starter(corpora: Sequence[Corpus], task: Task, *, progress: bool = True) -> Starter:
    """Fit a voice model and a head to the labelled clips of corpora.

    A speaker's clips are normalised as a device does that has heard all of them.

    Parameters
    ----------
    corpora
        At least one; together they have every label of the task.
    task
        What is recognised, by vectors of whole utterances.
    progress
        Whether to show a progress bar, where standard error is a terminal.

    Raises
    ------
    SettingsError
        If the task's front end gives frames.
    CorpusError
        If no clip can be used, or the clips do not show what is voice and what is mood.
    """
    if task.front_end.frames != 1:
        raise SettingsError(
            f"A starter is made of one vector an utterance; {task.front_end.name} gives frames.",
            "Give --front-end whisper.",
        )
    front_end = front_end_of(task.front_end)
    found = [
        (corpus.name, extract_features(corpus.labelled, front_end, progress=progress))
        for corpus in corpora
    ]
    raw, speakers = _joined(found, task)
    voice = fit_voice(raw.features[:, 0], raw.labels, speakers, len(task.labels))
    examples = normalised_by_owner(raw, speakers, front_end, voice=voice)
    weights = fit_softmax(examples.features[:, 0], examples.labels, len(task.labels))
    skipped = sum(len(features.skipped) for _, features in found)
    return Starter(weights, architecture_of("head", task), voice, skipped)


def _joined(
    found: Sequence[tuple[str, ClipFeatures]], task: Task
) -> tuple[Examples, NDArray[np.str_]]:
    """Put the corpora's clips together; give their speakers, too: each corpus has its own."""
    parts = [features for _, features in found]
    speakers = [
        f"{place} {name} {clip.speaker}"
        for place, (name, features) in enumerate(found)
        for clip in features.clips
    ]
    examples = Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.labels(task) for part in parts]),
    )
    return examples, np.array(speakers)
