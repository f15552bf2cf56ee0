"""Pretraining by speech recognition: a network learns to write down what is said.

By connectionist temporal classification (Graves et al., 2006): each frame tells a character or a
blank, and all ways to write the transcript so count. The characters are those of the transcripts.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
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
from shared.features.cache import SkippedClip, extract_features, tell_skipped
from shared.front_ends import front_end_of
from shared.layers import HEAD
from shared.sentences import spelt
from shared.training import Examples

if TYPE_CHECKING:
    from shared.command.progress import Tracker

BLANK: Final = 0
"""What a frame tells that writes nothing."""


def written(text: str) -> str:
    """Write a transcript in small letters, their marks and single spaces, without punctuation."""
    return spelt(text, str.isalpha)


def frames_needed(text: str) -> int:
    """Count the frames without which a text cannot be told: between equal letters lies a blank."""
    return len(text) + sum(one == other for one, other in pairwise(text))


def frames_told(architecture: Architecture, frames: NDArray[np.int32]) -> NDArray[np.int32]:
    """Count the frames of utterances, behind the convolutions, that can tell a character."""
    found: NDArray[np.int32] = np.maximum(architecture.behind(frames), 1)
    return found


class Transcription:
    """The lesson: from each frame behind the convolutions, tell a character by one linear layer.

    The embedding takes no part.

    Parameters
    ----------
    texts
        What is said in each utterance, as :func:`written` gives it; none is empty.
    frames
        True frames of each, shape ``(n,)``.
    architecture
        The network.

    Attributes
    ----------
    letters
        What can be told, from 1 on; :data:`BLANK` is none of them.
    """

    def __init__(
        self, texts: Sequence[str], frames: NDArray[np.int32], architecture: Architecture
    ) -> None:
        self._tf = tf = import_tensorflow()
        self.letters = "".join(sorted(set("".join(texts))))
        self._spelt = [[self.letters.index(own) + 1 for own in text] for text in texts]
        self._frames = frames_told(architecture, frames)
        pooled, _ = next(spec.shape for spec in architecture.manifest if spec.layer == HEAD)
        outputs = len(self.letters) + 1
        shapes = ((pooled // 2, outputs), (outputs,))
        self.variables: Sequence[Any] = [tf.Variable(tf.zeros(shape)) for shape in shapes]

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        """Give spelt texts, their lengths, and how many frames tell them; see :class:`Lesson`."""
        spelt = [self._spelt[place] for place in where]
        lengths = np.array([len(own) for own in spelt], np.int32)
        padded = np.zeros((len(spelt), lengths.max()), np.int32)
        for row, own in zip(padded, spelt, strict=True):
            row[: len(own)] = own
        return padded, lengths, np.minimum(self._frames[where], frames).astype(np.int32)

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        """Compute the mean loss of a character; see :class:`Lesson`."""
        del embedding
        tf, (spelt, lengths, frames) = self._tf, targets
        kernel, bias = self.variables
        told = tf.nn.ctc_loss(
            spelt,
            hidden @ kernel + bias,
            lengths,
            frames,
            logits_time_major=False,
            blank_index=BLANK,
        )
        return tf.reduce_sum(told) / tf.cast(tf.reduce_sum(lengths), tf.float32)


_SHORT: Final = "It is too short for what is said in it."


def transcribe(
    corpora: Sequence[Corpus],
    architecture: Architecture,
    course: Course,
    tracker: "Tracker",
) -> tuple[Network, list[Corpus]]:
    """Pretrain a network by the clips of which it is known what is said.

    Clips too short for their transcript are left out.

    Returns
    -------
    Network, list of Corpus
        The logits' weights are zero; and the corpora with the clips that taught alone.

    Raises
    ------
    SettingsError
        If the network cannot be pretrained.
    CorpusError
        If a corpus has no clip with a transcript, or none that is long enough.
    """
    check_can_learn(architecture)
    front_end = front_end_of(architecture.task.front_end)
    heard, texts, taught_by = [], [], []
    for corpus in corpora:
        told = [clip for clip in corpus.clips if written(clip.text)]
        if not told:
            raise CorpusError(
                f"{corpus.info.title}: of no clip it is known what is said.",
                "Give a corpus with transcripts, or a manifest with the column text.",
            )
        found = extract_features(told, front_end)
        needed = [frames_needed(written(clip.text)) for clip in found.clips]
        use = np.flatnonzero(frames_told(architecture, found.frames) >= needed)
        short = [
            SkippedClip(clip, _SHORT) for place, clip in enumerate(found.clips) if place not in use
        ]
        tell_skipped([*found.skipped, *short])
        if not len(use):
            raise CorpusError(f"{corpus.info.title}: all clips are too short for what is said.")
        nothing = np.zeros(len(found.clips), np.int32)
        heard.append(Examples(found.features, found.frames, nothing).take(use))
        clips = tuple(found.clips[place] for place in use)
        texts += [written(clip.text) for clip in clips]
        taught_by.append(replace(corpus, clips=clips))
    whole, statistics = normalised_together(heard, front_end)
    lesson = Transcription(texts, whole.frames, architecture)
    weights = pretrain(architecture, whole, lesson, course, tracker)
    return Network(architecture, weights, statistics.mean, statistics.std), taught_by
