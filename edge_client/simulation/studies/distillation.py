"""Distillation: a small network learns to tell what a speech encoder makes of speech.

As Hinton, Vinyals & Dean, *Distilling the knowledge in a neural network* (2015), but of what the
encoder's layers give: the squared error of its last layer, frame by frame, and of an utterance's
vector. Both sides are normalised by their speaker's statistics, as a device normalises what it
hears: so it is learnt how a speaker's sounds differ from one another, and not who speaks. No label
is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from edge_client.simulation.studies.pretraining import (
    Course,
    check_can_learn,
    frames_apart,
    pretrain,
)
from edge_client.simulation.utterances import Indices
from shared.architectures import Architecture
from shared.corpora import Corpus
from shared.encoders.encoder import read_encoder
from shared.errors import SettingsError
from shared.features.cache import extract_features
from shared.features.labelled_clips import normalised_by_owner, together
from shared.features.normalisation import CLIP, FLOOR
from shared.front_ends import EncoderFeatures, FrontEnd, front_end_of
from shared.front_ends.whisper import encoding_of
from shared.layers import HEAD
from shared.training import Examples
from shared.weights import Weights

if TYPE_CHECKING:
    from shared.command.progress import Tracker

HOP: Final = 0.01
"""Seconds between the frames that the network hears; the encoder's layers give every second."""

Layer = NDArray[np.float16]
"""What the encoder's last layer gives of an utterance, normalised: ``(t, width)``."""


@dataclass(frozen=True)
class Taught:
    """Utterances that teach.

    Attributes
    ----------
    heard
        What the network hears of them, normalised; their labels are all zero.
    vectors
        What the encoder makes of each, normalised, shape ``(n, features)``, float32.
    layers
        What its last layer gives of each.
    """

    heard: Examples
    vectors: NDArray[np.float32]
    layers: Sequence[Layer]


def taught_by(
    corpora: Sequence[Corpus],
    architecture: Architecture,
    encoder: FrontEnd,
    tracker: "Tracker",
) -> Taught:
    """Compute what teaches, of all clips of corpora, whatever their labels.

    Parameters
    ----------
    corpora
        At least one. Clips that cannot be used are left out.
    architecture
        The network: its task says what it hears through.
    encoder
        What it learns to tell.
    tracker
        Shows how far it is.

    Raises
    ------
    CorpusError
        If no clip of a corpus can be used.
    SettingsError
        If the front ends are others than can teach and be taught.
    """
    front_end = front_end_of(architecture.task.front_end)
    if not isinstance(source := encoder.frame_features, EncoderFeatures):
        raise SettingsError(
            f"{encoder.shape.name} is no speech encoder.", "Give --encoder whisper-speech."
        )
    if front_end.hop != HOP:
        raise SettingsError(
            f"{front_end.shape.name} does not give a frame every {HOP * 1000:.0f} ms, as the "
            "encoder hears.",
            "Give --front-end mfcc40.",
        )
    encoding, last = encoding_of(source.path, source.digest), read_encoder(source.path).layers
    parts: list[Taught] = []
    for corpus in corpora:
        found = extract_features(corpus.clips, front_end)
        speakers = np.array([clip.speaker for clip in found.clips])
        nothing = np.zeros(len(speakers), np.int32)
        vectors, layers = [], []
        for clip in tracker.track(found.clips, description=f"encoding {corpus.name}"):
            vectors.append(encoding.vector(clip.read(), speech=source.speech))
            layers.append(encoding.layer(last).astype(np.float16))
        rows = Examples(np.array(vectors)[:, None], np.ones_like(nothing), nothing)
        parts.append(
            Taught(
                normalised_by_owner(
                    Examples(found.features, found.frames, nothing), speakers, front_end
                ),
                normalised_by_owner(rows, speakers, encoder).features[:, 0],
                _normalised(layers, speakers),
            )
        )
    return Taught(
        together([part.heard for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        [layer for part in parts for layer in part.layers],
    )


def _normalised(layers: Sequence[Layer], speakers: NDArray[np.str_]) -> list[Layer]:
    """Bring what a layer gives of each speaker to mean 0 and deviation 1, value by value."""
    found = list(layers)
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        every = np.concatenate([layers[place] for place in own]).astype(np.float32)
        mean, deviation = every.mean(axis=0), np.maximum(every.std(axis=0), FLOOR)
        for place in own:
            normal = np.clip((layers[place] - mean) / deviation, -CLIP, CLIP)
            found[place] = normal.astype(np.float16)
    return found


class Distillation:
    """The lesson: by one linear layer each, tell the encoder's last layer and its vector.

    A frame behind the convolutions tells what the encoder gives in the middle of what that frame
    was computed from.

    Parameters
    ----------
    taught
        What is to be told.
    architecture
        The network.
    """

    def __init__(self, taught: Taught, architecture: Architecture) -> None:
        self._tf = tf = import_tensorflow()
        self._taught = taught
        self._reach, self._apart = architecture.reach, frames_apart(architecture)
        pooled, units = next(s.shape for s in architecture.manifest if s.layer == HEAD)
        widths = ((pooled // 2, taught.layers[0].shape[1]), (units, taught.vectors.shape[1]))
        shapes = [shape for rows, columns in widths for shape in ((rows, columns), (columns,))]
        self.variables: Sequence[Any] = [tf.Variable(tf.zeros(shape)) for shape in shapes]

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        """Give vectors, layers and how much each of their frames counts; see :class:`Lesson`."""
        taught = self._taught
        starts = self._apart * np.arange(frames)
        middles = (starts + (self._reach - 1) // 2) // 2  # one of the encoder's is two of ours
        layers = np.zeros((len(where), frames, taught.layers[0].shape[1]), np.float16)
        counts = np.zeros((len(where), frames), np.float32)
        for row, place in enumerate(where):
            own = taught.layers[place]
            true = (starts <= taught.heard.frames[place] - self._reach) & (middles < len(own))
            layers[row, true], counts[row, true] = own[middles[true]], 1
        return taught.vectors[where], layers, counts / max(counts.sum(), 1)

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        """Add up the mean squared errors of both; see :class:`Lesson`."""
        tf, (vectors, layers, counts) = self._tf, targets
        frame_kernel, frame_bias, kernel, bias = self.variables
        told = hidden @ frame_kernel + frame_bias
        errors = tf.reduce_mean(tf.square(told - tf.cast(layers, tf.float32)), 2)
        vector = tf.reduce_mean(tf.square(embedding @ kernel + bias - vectors))
        return vector + tf.reduce_sum(errors * counts)


def distil(
    corpora: Sequence[Corpus],
    architecture: Architecture,
    encoder: FrontEnd,
    course: Course,
    tracker: "Tracker",
) -> Weights:
    """Pretrain a network by distillation; raises what :func:`taught_by` and :func:`pretrain` do.

    Returns
    -------
    Weights
        Shape ``(parameters,)``, the logits' zero.
    """
    check_can_learn(architecture)
    taught = taught_by(corpora, architecture, encoder, tracker)
    lesson = Distillation(taught, architecture)
    return pretrain(architecture, taught.heard, lesson, course, tracker)
