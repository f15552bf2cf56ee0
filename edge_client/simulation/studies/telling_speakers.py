"""Pretraining by telling speakers: a softmax over all who speak, from the embedding.

As x-vectors learn (Snyder et al., *X-vectors: robust DNN embeddings for speaker recognition*,
2018), and the network of Ananthram et al. (2020) on VoxCeleb; its embeddings then are vectors of
utterances of other people. All are normalised together, so that the voice stays in them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from edge_client.simulation.studies.pretraining import (
    Course,
    check_can_learn,
    normalised_together,
    pretrain,
)
from edge_client.simulation.utterances import Indices
from shared.architectures import Architecture
from shared.corpora import Corpus
from shared.encoders.network import Network
from shared.errors import CorpusError
from shared.features.cache import extract_features, tell_skipped
from shared.front_ends import front_end_of
from shared.layers import HEAD
from shared.training import Examples

if TYPE_CHECKING:
    from shared.command.progress import Tracker

FEWEST: Final = 2
"""Speakers; of one there is nothing to tell."""


def lesson_of(course: Course) -> str:
    """Say on a card what was learnt."""
    return f"telling speakers {course}"


class TellingSpeakers:
    """The lesson: from the embedding, tell who speaks by one linear layer.

    Parameters
    ----------
    speakers
        Who speaks each utterance, as numbers from 0 on, shape ``(n,)``.
    architecture
        The network.
    """

    def __init__(self, speakers: NDArray[np.int32], architecture: Architecture) -> None:
        self._tf = tf = import_tensorflow()
        self._speakers = speakers
        _, units = next(spec.shape for spec in architecture.manifest if spec.layer == HEAD)
        count = int(speakers.max()) + 1
        self.variables: Sequence[Any] = [tf.Variable(tf.zeros(n)) for n in ((units, count), count)]

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        """Give who speaks; see :class:`~.pretraining.Lesson`."""
        del frames
        return (self._speakers[where],)

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        """Compute the mean cross-entropy; see :class:`~.pretraining.Lesson`."""
        del hidden
        kernel, bias = self.variables
        tf, (speakers,) = self._tf, targets
        told = tf.nn.sparse_softmax_cross_entropy_with_logits(speakers, embedding @ kernel + bias)
        return tf.reduce_mean(told)


def tell_speakers(
    corpora: Sequence[Corpus], architecture: Architecture, course: Course, tracker: "Tracker"
) -> tuple[Network, list[Corpus]]:
    """Pretrain a network by who speaks in all clips of corpora that can be used.

    Returns
    -------
    Network, list of Corpus
        The logits' weights are zero; and the corpora with the clips that taught alone.

    Raises
    ------
    SettingsError
        If the network cannot be pretrained.
    CorpusError
        If there are fewer than two speakers with clips that can be used, or no clip of a corpus
        can be used.
    """
    check_can_learn(architecture)
    front_end = front_end_of(architecture.task.front_end)
    parts, taught_by = [], []
    speakers: list[tuple[int, str]] = []
    for place, corpus in enumerate(corpora):
        found = extract_features(corpus.clips, front_end)
        tell_skipped(found.skipped)
        nothing = np.zeros(len(found.clips), np.int32)
        parts.append(Examples(found.features, found.frames, nothing))
        taught_by.append(replace(corpus, clips=found.clips))
        # Of two manifests, speakers of the same name are two people.
        speakers += [(place, clip.speaker) for clip in found.clips]
    people = {person: number for number, person in enumerate(sorted(set(speakers)))}
    if len(people) < FEWEST:
        raise CorpusError(
            f"There is one speaker, {speakers[0][1]}: nobody to tell them from.",
            "Give corpora of at least two speakers.",
        )
    heard, statistics = normalised_together(parts, front_end)
    lesson = TellingSpeakers(np.array([people[one] for one in speakers], np.int32), architecture)
    weights = pretrain(architecture, heard, lesson, course, tracker)
    return Network(architecture, weights, statistics.mean, statistics.std), taught_by
