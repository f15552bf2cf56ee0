"""Distillation: a small network learns to tell what a speech encoder makes of speech.

As Hinton, Vinyals & Dean, *Distilling the knowledge in a neural network* (2015), but of what the
encoder's layers give that its vector is made of: the squared error, frame by frame. Frames of both
sides are normalised by all the speech that teaches, so a network can be asked about people of whom
nothing is known. No label is read.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
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
from shared.audio import RATE, to_utterance
from shared.corpora import Corpus
from shared.encoders.encoder import read_encoder
from shared.encoders.network import Network
from shared.errors import AudioError, CorpusError, SettingsError
from shared.features.cache import SkippedClip, extract_features, tell_skipped
from shared.frames import normalised, stack
from shared.front_ends import EncoderFeatures, FrontEnd, front_end_of
from shared.front_ends.whisper import LONGEST, Encoding
from shared.layers import HEAD
from shared.training import Examples

if TYPE_CHECKING:
    from shared.command.progress import Tracker

SPEEDS: Final = (0.9, 1.0, 1.1)
"""How fast each clip is heard, pitch and all (Ko et al., *Audio augmentation for speech
recognition*, 2015): three voices of each."""

_HEARD: Final = int(1.2 * LONGEST)
"""Samples of a clip that are said at each speed: the fastest takes 1.1 times the longest sound that
the encoder listens to, and one said slower may become longer than a sound can be."""

HOP: Final = 0.01
"""Seconds between the frames that the network hears."""

_ENCODERS: Final = 2
"""Of these, one of the encoder's layers' frames."""

Layers = NDArray[np.float16]
"""What the encoder's pooled layers give of an utterance, side by side: ``(t, width)``."""


@dataclass(frozen=True)
class Speech:
    """Clips of a corpus, and what network and encoder make of them.

    Attributes
    ----------
    corpus
        Its clips are those that can be used, whatever their labels.
    heard
        What the network hears of each at each of :data:`SPEEDS`; the labels are all zero.
    layers
        What the encoder's pooled layers give of that.
    """

    corpus: Corpus
    heard: Examples
    layers: Sequence[Layers]

    def of(self, speakers: Collection[str]) -> "Speech":
        """Give what some speakers say."""
        clips = self.corpus.clips
        spoken = np.array([clip.speaker in speakers for clip in clips])
        kept = replace(self.corpus, clips=tuple(itertools.compress(clips, spoken)))
        where = np.flatnonzero(np.repeat(spoken, len(SPEEDS)))
        return Speech(kept, self.heard.take(where), [self.layers[place] for place in where])


def encoded(
    corpora: Sequence[Corpus], architecture: Architecture, encoder: FrontEnd, tracker: "Tracker"
) -> list[Speech]:
    """Compute what network and encoder make of all clips of corpora.

    Parameters
    ----------
    corpora
        Clips that cannot be used are left out.
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
        If the network or the front ends are others than can teach and be taught.
    """
    check_can_learn(architecture)
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
    whisper = read_encoder(source.path)
    # On a busy machine two threads wait for one another far longer than they compute.
    encoding = Encoding(whisper, threads=1)
    speech = []
    for corpus in corpora:
        found = extract_features(corpus.clips, front_end)
        skipped, clips, heard, layers = [*found.skipped], [], [], []
        for clip in tracker.track(found.clips, description=f"encoding {corpus.name}"):
            spoken = clip.read()[:_HEARD]
            sounds = [to_utterance(spoken, speed * RATE) for speed in SPEEDS]
            try:
                heard += [front_end.compute(sound) for sound in sounds]
            except AudioError as error:  # said faster, it is too short for a frame
                skipped.append(SkippedClip(clip, error.problem))
                continue
            clips.append(clip)
            for sound in sounds:
                encoding.vector(sound)
                told = [encoding.layer(number) for number in whisper.pool]
                layers.append(np.concatenate(told, axis=1).astype(np.float16))
        tell_skipped(skipped)
        if not clips:
            raise CorpusError(f"{corpus.info.title}: all clips are too short.")
        frames = np.array([len(own) for own in heard], np.int32)
        examples = Examples(stack(heard, front_end.shape), frames, np.zeros_like(frames))
        speech.append(Speech(replace(corpus, clips=tuple(clips)), examples, layers))
    return speech


class Distillation:
    """The lesson: by one linear layer, tell what the encoder's pooled layers give.

    A frame behind the convolutions tells what the encoder gives in the middle of what that frame
    was computed from, as many of its frames as the network gives one of.

    Parameters
    ----------
    layers
        What is to be told of each utterance; over all frames each value is brought to mean 0 and
        deviation 1.
    frames
        True frames of each that the network hears, shape ``(n,)``.
    architecture
        The network.
    """

    def __init__(
        self, layers: Sequence[Layers], frames: NDArray[np.int32], architecture: Architecture
    ) -> None:
        self._tf = tf = import_tensorflow()
        self._layers, self._frames, self._architecture = layers, frames, architecture
        self._mean, self._deviation = _moments(layers)
        self._each = max(architecture.stride // _ENCODERS, 1)
        pooled, _ = next(spec.shape for spec in architecture.manifest if spec.layer == HEAD)
        width = self._each * layers[0].shape[1]
        shapes = ((pooled // 2, width), (width,))
        self.variables: Sequence[Any] = [tf.Variable(tf.zeros(shape)) for shape in shapes]

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        """Give layers, and how much each of their frames counts; see :class:`Lesson`."""
        architecture, width = self._architecture, self._layers[0].shape[1]
        middles = architecture.stride * np.arange(frames) + (architecture.reach - 1) // 2
        middles //= _ENCODERS
        layers = np.zeros((len(where), frames, self._each, width), np.float16)
        counts = np.zeros((len(where), frames), np.float32)
        for row, place in enumerate(where):
            own = normalised(self._layers[place], self._mean, self._deviation)
            told = np.arange(frames) < architecture.behind(int(self._frames[place]))
            told &= middles < len(own)
            ahead = np.minimum(middles[told, None] + np.arange(self._each), len(own) - 1)
            layers[row, told], counts[row, told] = own[ahead], 1
        return layers.reshape(len(where), frames, -1), counts / max(counts.sum(), 1)

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        """Compute the mean squared error; see :class:`Lesson`."""
        del embedding
        tf, (layers, counts) = self._tf, targets
        kernel, bias = self.variables
        errors = tf.square(hidden @ kernel + bias - tf.cast(layers, tf.float32))
        return tf.reduce_sum(tf.reduce_mean(errors, 2) * counts)


def distil(
    speech: Sequence[Speech], architecture: Architecture, course: Course, tracker: "Tracker"
) -> Network:
    """Pretrain a network by what :func:`encoded` gave; raises what :func:`pretrain` does.

    The network's logits are zero.
    """
    front_end = front_end_of(architecture.task.front_end)
    heard, statistics = normalised_together([own.heard for own in speech], front_end)
    layers = [each for own in speech for each in own.layers]
    lesson = Distillation(layers, heard.frames, architecture)
    weights = pretrain(architecture, heard, lesson, course, tracker)
    return Network(architecture, weights, statistics.mean, statistics.std)


def _moments(layers: Sequence[Layers]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute mean and deviation over all frames, value by value."""
    frames = sum(map(len, layers))
    mean = sum(own.sum(axis=0, dtype=np.float64) for own in layers) / frames
    squares = sum(np.square(own - mean).sum(axis=0) for own in layers)
    return mean, np.sqrt(squares / frames)
