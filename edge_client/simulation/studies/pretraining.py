"""Pretraining of a time-delay neural network: it learns of speech before it learns emotions.

What it learns is a :class:`Lesson`, told by layers of its own on top of the network's, which are
dropped afterwards. While it learns, each convolution is normalised over its batch (Ioffe & Szegedy,
*Batch normalization*, 2015), without which eleven of them hardly learn; at the end that is folded
into kernels and biases, so that devices compute the plain layers of the architecture.

The embedding begins as the identity: it passes on what the network pools, of which the layers above
learn. A lesson may change it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from edge_client.simulation.utterances import Indices
from shared.architectures import Architecture
from shared.corpora import Corpus
from shared.errors import SettingsError, TrainingError
from shared.features.labelled_clips import together
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FrontEnd
from shared.layers import HEAD, LOGITS, POOLING_EPSILON, Conv1D, StatisticsPooling
from shared.lengths import model_length, padded, shares
from shared.model_notes.model_card import ModelCard
from shared.randomness import stream
from shared.training import Examples
from shared.weights import Weights, fresh_weights, split

if TYPE_CHECKING:
    from shared.command.progress import Tracker

_NORM_EPSILON: Final = 1e-3
"""What normalising over a batch adds to the variance."""

_KEPT: Final = 0.95
"""Share of the running mean and variance that a step keeps."""

_WARM: Final = 50
"""Steps in which the rate rises to its full."""

_LEAST: Final = 0.02
"""Share of the rate that is left at the end."""

_MIXED: Final = 15
"""Frames by which lengths are varied before utterances of a length are put together."""


class Lesson(Protocol):
    """What is learnt of utterances, and the layers that tell it.

    Attributes
    ----------
    variables
        TensorFlow variables of these layers.
    """

    variables: Sequence[Any]

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        """Give what is to be told of some utterances.

        Parameters
        ----------
        where
            Their places.
        frames
            How many frames lie behind the convolutions.
        """
        ...

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        """Compute the loss of a batch.

        Parameters
        ----------
        hidden
            What the last convolution gives, shape ``(b, frames, filters)``.
        embedding
            What the last hidden layer gives, shape ``(b, units)``.
        *targets
            What :meth:`targets` gave of them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how fast something is learnt.

    Attributes
    ----------
    epochs
        Passes over the utterances.
    batch
        Utterances a step, of about the same length.
    rate
        Adam's learning rate: it rises in the first steps, and falls as a cosine to the end.
    seed
        Of the fresh weights and the order of the utterances.
    """

    epochs: int
    batch: int = 16
    rate: float = 2e-3
    seed: int = 0

    def __str__(self) -> str:
        """Say on a card how long it was learnt, and with which seed: others give other weights."""
        return f"in {self.epochs} epochs, seed {self.seed}"


def check_can_learn(architecture: Architecture) -> None:
    """Raise :class:`SettingsError` unless a model has convolutions, pooling and an embedding."""
    body = [layer for layer in architecture.layers if not isinstance(layer, StatisticsPooling)]
    dense = [layer.name for layer in body if not isinstance(layer, Conv1D)]
    if not architecture.pools or dense != [HEAD, LOGITS]:
        raise SettingsError(
            f"{architecture.name} cannot be pretrained: that needs convolutions, pooling over time "
            "and one embedding.",
            "Give --model tdnn13 or tdnn.",
        )


def pretrain(
    architecture: Architecture,
    heard: Examples,
    lesson: Lesson,
    course: Course,
    tracker: "Tracker",
) -> Weights:
    """Let a network learn a lesson.

    Parameters
    ----------
    architecture
        The network: convolutions, pooling over time, one embedding, the logits.
    heard
        Utterances, normalised; labels do not matter.
    lesson
        What is learnt of them, by their places.
    course
        How long and how fast.
    tracker
        Shows how far it is.

    Returns
    -------
    Weights
        Shape ``(parameters,)``, the logits' all zero: they have learnt nothing yet.

    Raises
    ------
    SettingsError
        If the architecture is another.
    TrainingError
        If a loss is not finite.
    """
    check_can_learn(architecture)
    network = _Network(architecture, course.seed)
    step = _step(network, lesson)
    batches = -(-len(heard) // course.batch)
    total = course.epochs * batches
    for number in tracker.track(range(total), total, description="pretraining"):
        epoch, place = divmod(number, batches)
        if not place:
            order = _batches(heard, course, epoch)
        where = order[place]
        length = model_length(architecture, heard.frames[where])
        features = padded(heard.features[where], heard.frames[where], length)
        counting = shares(architecture.at(length), heard.frames[where])
        targets = lesson.targets(where, counting.shape[1])
        if not np.isfinite(step(features, counting, _rate(course, number, total), *targets)):
            raise TrainingError("The loss is not finite.", "Try a smaller learning rate.")
    return network.folded()


def normalised_together(
    parts: Sequence[Examples], front_end: FrontEnd
) -> tuple[Examples, RunningStatistics]:
    """Join utterances and normalise them by all their frames: who speaks is not told apart.

    Returns
    -------
    Examples, RunningStatistics
        The utterances, those of the first part first, and by what they were normalised.
    """
    whole, statistics = together(parts), RunningStatistics(front_end)
    for row, frames in zip(whole.features, whole.frames, strict=True):
        statistics.update(row[:frames])
    return replace(whole, features=statistics.normalise(whole.features, whole.frames)), statistics


def card_of_lesson(corpora: Sequence[Corpus], lesson: str) -> ModelCard:
    """Write down what was learnt of all clips of corpora."""
    return ModelCard(
        taught_by=tuple(
            own.info.teaching(len(own.clips), len(own.speakers), lesson) for own in corpora
        )
    )


def _batches(heard: Examples, course: Course, epoch: int) -> list[Indices]:
    """Put utterances of about the same length together, in an order of their own each epoch."""
    rng = stream(course.seed, "pretraining", epoch)
    order = np.argsort(heard.frames + rng.uniform(-_MIXED, _MIXED, len(heard)))
    batches = [order[at : at + course.batch] for at in range(0, len(order), course.batch)]
    return [batches[place] for place in rng.permutation(len(batches))]


def _rate(course: Course, number: int, total: int) -> np.float32:
    """Give the rate of a step: warm-up, then half a cosine (Loshchilov & Hutter, 2017)."""
    warm = min(1, (number + 1) / _WARM)
    left = _LEAST + (1 - _LEAST) * (1 + np.cos(np.pi * number / total)) / 2
    return np.float32(course.rate * warm * left)


def _step(network: "_Network", lesson: Lesson) -> Callable[..., float]:
    """Compile a step of Adam (Kingma & Ba, 2015)."""
    tf = import_tensorflow()
    import keras

    optimiser = keras.optimizers.Adam(beta_2=0.99)
    variables = [*network.variables, *lesson.variables]
    optimiser.build(variables)

    def step(features: Any, counting: Any, rate: Any, *targets: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = lesson.loss(*network.forward(features, counting), *targets)
        optimiser.learning_rate.assign(rate)
        zero = tf.UnconnectedGradients.ZERO  # a lesson may leave the embedding as it is
        gradients = tape.gradient(loss, variables, unconnected_gradients=zero)
        optimiser.apply(gradients, variables)
        return loss

    compiled = tf.function(step, reduce_retracing=True, autograph=False)
    return lambda *arrays: float(compiled(*map(tf.constant, arrays)))


class _Network:
    """A network that learns, its convolutions normalised over each batch."""

    def __init__(self, architecture: Architecture, seed: int) -> None:
        tf = import_tensorflow()
        self._tf, self._architecture = tf, architecture
        self._convolutions = [own for own in architecture.layers if isinstance(own, Conv1D)]
        fresh = split(fresh_weights(architecture, seed), architecture)
        self._kernels = [tf.Variable(fresh[f"{own.name}/kernel"]) for own in self._convolutions]
        widths = [own.filters for own in self._convolutions]
        self._gains, self._variances = ([tf.Variable(tf.ones(n)) for n in widths] for _ in "12")
        self._offsets, self._means = ([tf.Variable(tf.zeros(n)) for n in widths] for _ in "12")
        pooled, units = fresh[f"{HEAD}/kernel"].shape
        self._embedding = [tf.Variable(tf.eye(pooled, units)), tf.Variable(tf.zeros(units))]
        self.variables = [*self._kernels, *self._gains, *self._offsets, *self._embedding]

    def forward(self, features: Any, counting: Any) -> tuple[Any, Any]:
        """Compute what the last convolution and the embedding give."""
        tf, x = self._tf, features
        for number, layer in enumerate(self._convolutions):
            # Not conv1d: on many processors TensorFlow has no gradient of it with dilation.
            z = tf.nn.convolution(
                x, self._kernels[number], layer.stride, "VALID", None, layer.dilation
            )
            mean, variance = tf.nn.moments(z, [0, 1])
            for kept, now in ((self._means, mean), (self._variances, variance)):
                kept[number].assign(_KEPT * kept[number] + (1 - _KEPT) * now)
            scale = self._gains[number] * tf.math.rsqrt(variance + _NORM_EPSILON)
            x = tf.nn.relu((z - mean) * scale + self._offsets[number])
        weights = counting[:, :, None]
        mean = tf.reduce_sum(weights * x, 1, keepdims=True)
        variance = tf.reduce_sum(weights * tf.square(x - mean), 1)
        pooled = tf.concat([mean[:, 0], tf.sqrt(variance + POOLING_EPSILON)], 1)
        kernel, bias = self._embedding
        return x, tf.nn.relu(pooled @ kernel + bias)

    def folded(self) -> Weights:
        """Give the weights of the plain architecture, the logits' zero."""
        vector = np.zeros(self._architecture.parameters, np.float32)
        tensors = split(vector, self._architecture)
        for number, layer in enumerate(self._convolutions):
            gain, offset, mean, variance = (
                own[number].numpy()
                for own in (self._gains, self._offsets, self._means, self._variances)
            )
            scale = gain / np.sqrt(variance + _NORM_EPSILON)
            tensors[f"{layer.name}/kernel"][:] = self._kernels[number].numpy() * scale
            tensors[f"{layer.name}/bias"][:] = offset - mean * scale
        for kind, own in zip(("kernel", "bias"), self._embedding, strict=True):
            tensors[f"{HEAD}/{kind}"][:] = own.numpy()
        return vector
