"""A model to start with, made of the corpora that a person has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.softmax_regression import fit_softmax
from edge_client.learning.voice_fitting import fit_voice
from shared.architectures import Architecture, architecture_of
from shared.corpora import Corpus
from shared.errors import CorpusError, SettingsError
from shared.features.cache import ClipFeatures, extract_features
from shared.features.prior import Prior
from shared.features.statistics import Start
from shared.front_ends import FrontEnd, front_end_of
from shared.labelled_clips import normalised_by_owner
from shared.metrics import Scores, confusion, predicted
from shared.task import Task
from shared.training import Examples
from shared.weights import Weights, split

Normalisation = Literal["device", "voice"]
"""How the devices normalise that a starter is for."""

PRIOR_COUNT: Final = 4
"""Utterances that the statistics of a starter count for: after four of its own a device believes
what it has heard as much."""


@dataclass(frozen=True)
class Starter:
    """What a device can begin with.

    Attributes
    ----------
    weights, architecture
        Of the head.
    begun
        What a device's statistics begin with: a voice model, or a prior.
    skipped
        How many clips could not be used.
    """

    weights: Weights
    architecture: Architecture
    begun: Start
    skipped: int


def make_starter(
    corpora: Sequence[Corpus], task: Task, how: Normalisation, *, progress: bool = True
) -> Starter:
    """Fit a head, and what statistics begin with, to the labelled clips of corpora.

    With ``voice``, a speaker's clips are normalised as a device does that has heard all of them.
    With ``device``, also as one does that has heard one label only, or nothing.

    Parameters
    ----------
    corpora
        At least one; together they have every label of the task.
    task
        What is recognised, by vectors of whole utterances.
    how
        How devices will normalise.
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
    _check(raw, speakers, task)
    begun: Start
    if how == "voice":
        begun = fit_voice(raw.features[:, 0], raw.labels, speakers, len(task.labels))
        examples = normalised_by_owner(raw, speakers, front_end, begun=begun)
    else:
        vectors = raw.features[:, 0].astype(np.float64)
        begun = Prior(vectors.mean(axis=0), vectors.std(axis=0), PRIOR_COUNT)
        examples = _as_devices_hear(raw, speakers, front_end, begun)
    weights = fit_softmax(examples.features[:, 0], examples.labels, len(task.labels))
    skipped = sum(len(features.skipped) for _, features in found)
    return Starter(weights, architecture_of("head", task), begun, skipped)


def speakers_of(corpora: Sequence[Corpus]) -> set[tuple[str, str]]:
    """Name the speakers of corpora, each with the corpus."""
    return {(corpus.info.name, speaker) for corpus in corpora for speaker in corpus.speakers}


def _check(raw: Examples, speakers: NDArray[np.str_], task: Task) -> None:
    """Refuse clips that cannot teach what a device begins with."""
    missing = [name for place, name in enumerate(task.names) if place not in raw.labels]
    if missing:
        raise CorpusError(
            f"No clip is labelled {' or '.join(missing)}: a starter is made of all labels.",
            "Add a corpus that has them, or give other --labels.",
        )
    if len(np.unique(speakers)) == 1:
        raise CorpusError(
            "All clips are of one speaker, who does not show how voices differ.",
            "Give clips of several speakers.",
        )


def recalls_on(starter: Starter, corpus: Corpus, *, progress: bool = True) -> dict[str, float]:
    """Test a starter on the speakers of another corpus, each with a device of their own.

    Returns
    -------
    dict of str to float
        UAR where the device has heard ``all`` of a speaker's clips, those of ``one`` label, or
        ``none`` but the clip itself.

    Raises
    ------
    CorpusError
        If no clip can be used, or a label has none.
    """
    task = starter.architecture.task
    front_end = front_end_of(task.front_end)
    features = extract_features(corpus.labelled, front_end, progress=progress)
    raw, speakers = _joined([(corpus.name, features)], task)
    if missing := [n for place, n in enumerate(task.names) if place not in raw.labels]:
        raise CorpusError(f"{corpus.info.title} has no clip that is {missing[0]}, to test on.")
    owners = {
        "all": speakers,
        "one": _one_mood_each(raw, speakers),
        "none": np.arange(len(raw)).astype(np.str_),
    }
    kernel, bias = split(starter.weights, starter.architecture).values()
    found = {}
    for known, devices in owners.items():
        heard = normalised_by_owner(raw, devices, front_end, begun=starter.begun)
        guesses = predicted(heard.features[:, 0] @ kernel + bias)
        counts = confusion(raw.labels, guesses, len(task.names))
        found[known] = Scores.from_confusion(counts, task.names).uar
    return found


def _as_devices_hear(
    raw: Examples, speakers: NDArray[np.str_], front_end: FrontEnd, prior: Prior
) -> Examples:
    """Normalise all utterances three times: for devices that know all, one or none of the moods."""
    nobody = np.zeros(len(raw), bool)
    views = [
        normalised_by_owner(raw, speakers, front_end, begun=prior),
        normalised_by_owner(raw, _one_mood_each(raw, speakers), front_end, begun=prior),
        normalised_by_owner(raw, speakers, front_end, nobody, prior),
    ]
    return Examples(
        np.concatenate([view.features for view in views]),
        np.concatenate([view.frames for view in views]),
        np.concatenate([view.labels for view in views]),
    )


def _one_mood_each(raw: Examples, speakers: NDArray[np.str_]) -> NDArray[np.str_]:
    """Name the devices of people each of whom is in one mood all day."""
    return np.array([f"{own} {label}" for own, label in zip(speakers, raw.labels, strict=True)])


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
