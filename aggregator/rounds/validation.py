"""Scoring global models on a corpus of the aggregator's own."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aggregator.ledger import Counts
from aggregator.settings import ValidationSettings
from shared.corpora import load_corpus
from shared.features.cache import ClipFeatures, extract_features
from shared.features.labelled_clips import normalised_by_owner
from shared.features.statistics import Start
from shared.front_ends import front_end_of
from shared.metrics import confusion, predicted
from shared.task import Task
from shared.training import Examples
from shared.weights import Weights


class ComputesLogits(Protocol):
    """Computes the logits of one utterance at a time, with weights that can be exchanged."""

    def use(self, weights: Weights) -> None:
        """Take other weights."""
        ...

    def logits(self, features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Compute the logits, shape ``(labels,)``, of an utterance with so many true frames."""
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """Counts what a model recognises; a :data:`aggregator.rounds.federation.Validate`.

    Attributes
    ----------
    examples
        The corpus, normalised.
    inference
        What recognises.
    task
        What is recognised.
    """

    examples: Examples
    inference: ComputesLogits
    task: Task

    def __call__(self, weights: Weights) -> Counts:
        """Count: rows are true labels, columns predicted ones.

        Raises
        ------
        WeightsError
            If what the model computes is not finite.
        """
        self.inference.use(weights)
        utterances = zip(self.examples.features, self.examples.frames, strict=True)
        logits = np.stack([self.inference.logits(one, int(n)) for one, n in utterances])
        size = len(self.task.labels)
        counts: Counts = confusion(self.examples.labels, predicted(logits), size).tolist()
        return counts


def validation_clips(settings: ValidationSettings, task: Task) -> ClipFeatures | None:
    """Load the validation corpus; ``None`` if the settings name none.

    Raises
    ------
    SettingsError
        If there is no such corpus.
    CorpusError
        If it is not there, or none of its clips can be used.
    """
    if settings.validation_corpus is None:
        return None
    corpus = load_corpus(settings.validation_corpus, settings.validation_data, task)
    return extract_features(corpus.labelled, front_end_of(task.front_end))


def validation_examples(
    found: ClipFeatures, settings: ValidationSettings, task: Task, begun: Start | None = None
) -> Examples:
    """Normalise the features of the validation corpus as devices do.

    With ``device``, each speaker's by the statistics of that speaker's own utterances.

    Parameters
    ----------
    found
        What :func:`validation_clips` gives.
    settings
        How it is normalised.
    task
        What is recognised.
    begun
        What devices' statistics begin with; nothing, if not given.
    """
    raw = Examples(found.features, found.frames, found.labels(task))
    if settings.validation_normalisation == "none":
        return raw
    speakers = np.array([clip.speaker for clip in found.clips])
    return normalised_by_owner(raw, speakers, front_end_of(task.front_end), begun=begun)
