"""Fusion of what was said, how, and with which movements (Tripathi et al., 2018, arXiv 1804.05788).

A branch for each modality is trained alone. Their embeddings, what goes into their logits, are
joined, and a dense layer with logits behind it learns from them. Each utterance teaches it with
every choice of its modalities, the others put to zero: a device that has only some can use it.

Branches are models of :mod:`shared.layers`: what the paper does to motion by convolutions over time
and columns, convolutions over time do here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import Trained, train
from edge_client.simulation.keras_engine import KerasEngine
from shared.architectures import Architecture
from shared.layers import HEAD, LOGITS, Conv1D, Dense, Hidden, StatisticsPooling
from shared.lengths import model_length, padded, shares
from shared.metrics import predicted
from shared.randomness import stream
from shared.task import FrontEndShape, Task
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, initial_weights

if TYPE_CHECKING:
    import keras

SPEECH: Final = "speech"
TEXT: Final = "text"
MOTION: Final = "motion"

UNITS: Final = 128
"""Of the embeddings of text, motion and a speech encoder's vector, and of the fusing layer."""

_AT_ONCE: Final = 256
"""Utterances whose embeddings are computed together."""

DENSE: Final[Hidden] = (Dense(HEAD, UNITS),)
"""The branch of a modality that is one vector an utterance, and what fuses."""

OVER_TIME: Final[Hidden] = (
    Conv1D("conv1", 32),
    Conv1D("conv2", 64, dilation=2),
    Conv1D("conv3", 64, dilation=4),
    Conv1D("conv4", 128, dilation=8),
    Conv1D("conv5", 128, dilation=8),
    StatisticsPooling("statistics"),
    Dense(HEAD, UNITS),
)
"""The branch of motion: as many filters as the paper's, dilated where those take strides."""


@dataclass(frozen=True)
class Modality:
    """One of the things that are known of utterances.

    Attributes
    ----------
    name
        :data:`SPEECH`, :data:`TEXT` or :data:`MOTION`.
    hidden
        Layers of its branch, but for the logits.
    examples
        Of all utterances: normalised features, zeros where there are none.
    there
        Shape ``(n,)``: which utterances have it.
    shape
        Of its features; if not given, that of a vector or table of one length.
    """

    name: str
    hidden: Hidden
    examples: Examples
    there: NDArray[np.bool_]
    shape: FrontEndShape | None = None

    def architecture(self, task: Task) -> Architecture:
        """Give the model of its branch."""
        _, frames, features = self.examples.features.shape
        shape = self.shape or FrontEndShape(self.name, 1, frames, features)
        return architecture(self.name, self.hidden, task, shape)


def architecture(name: str, hidden: Hidden, task: Task, shape: FrontEndShape) -> Architecture:
    """Give a model with the labels of a task, for features of another shape."""
    layers = (*hidden, Dense(LOGITS, len(task.labels), hidden=False))
    return Architecture(name, layers, shape.frames, shape.features, Task(task.labels, shape))


@cache
def _engine_of(model: Architecture) -> KerasEngine:
    """Give the engine of a model; folds and seeds share it, so that it is compiled once."""
    return KerasEngine(model)


@cache
def _model_of(model: Architecture) -> "keras.Model":
    """Build the Keras model that embeds, once as well."""
    from converters.keras_models import build

    return build(model)


@dataclass(frozen=True)
class TrainedModel:
    """A model with its weights."""

    architecture: Architecture
    weights: Weights

    def predict(self, examples: Examples) -> NDArray[np.int64]:
        """Recognise: places among the labels, shape ``(n,)``."""
        engine = _engine_of(self.architecture)
        return predicted(engine.logits(self.weights, examples.features, examples.frames))

    def embed(self, examples: Examples) -> NDArray[np.float32]:
        """Compute what goes into the logits: shape ``(n, units)``."""
        import keras

        from converters.keras_models import forward, set_weights

        model, own = _model_of(self.architecture), self.architecture
        set_weights(model, own, self.weights)
        below = keras.Sequential(model.layers[:-1])
        length = model_length(own, examples.frames)
        rows = []
        for start in range(0, len(examples), _AT_ONCE):
            here = slice(start, start + _AT_ONCE)
            frames = examples.frames[here]
            batch = padded(examples.features[here], frames, length)
            counts = shares(own.at(length), frames) if own.pools else None
            rows.append(np.asarray(forward(below, batch, counts)))
        embedded: NDArray[np.float32] = np.concatenate(rows).reshape(len(examples), -1)
        return embedded


def trained(
    model: Architecture, examples: Examples, training: TrainingSettings, seed: int
) -> TrainedModel:
    """Train a model from fresh weights.

    Raises
    ------
    TrainingError
        If the examples cannot be trained on, or a loss is not finite.
    """
    fresh = initial_weights(model, stream(seed, "initial weights", model.name))
    streams = partial(stream, seed, "training", model.name)
    outcome = train(_engine_of(model), fresh, examples, training, streams)
    if not isinstance(outcome, Trained):
        raise TypeError("a training that nobody stops ends")
    return TrainedModel(model, outcome.weights)


@dataclass(frozen=True)
class Fusion:
    """Branches, and what fuses their embeddings.

    Attributes
    ----------
    branches
        Of each modality, in their order.
    fusing
        The model on their embeddings, side by side.
    """

    branches: Mapping[str, TrainedModel]
    fusing: TrainedModel

    @classmethod
    def of(
        cls,
        modalities: Mapping[str, Modality],
        where: NDArray[np.int64],
        task: Task,
        training: TrainingSettings,
        seed: int,
    ) -> "Fusion":
        """Train branches and fusion.

        Parameters
        ----------
        modalities
            By their names.
        where
            Indices of the utterances to train on.
        task
            Its labels.
        training
            How long and fast each model learns.
        seed
            Of everything random.

        Raises
        ------
        TrainingError
            If no utterance to train on has a modality, or a loss is not finite.
        """
        branches = {
            name: trained(
                each.architecture(task),
                each.examples.take(where[each.there[where]]),
                training,
                seed,
            )
            for name, each in modalities.items()
        }
        joined = side_by_side(branches, modalities, where)
        every = choices(tuple(modalities))
        rows = np.concatenate([joined.masked(choice) for choice in every])
        labels = np.tile(next(iter(modalities.values())).examples.labels[where], len(every))
        # What has nothing of a choice would teach how many there are of each label, no more.
        some = rows.any(axis=1)
        taught = _examples(rows[some], labels[some])
        model = architecture("fusion", DENSE, task, FrontEndShape("fusion", 1, 1, rows.shape[1]))
        # About as many steps as without the choices.
        epochs = max(1, (training.epochs or 1) // len(every))
        shorter = training.model_copy(update={"epochs": epochs})
        return cls(branches, trained(model, taught, shorter, seed))

    def predict(
        self,
        modalities: Mapping[str, Modality],
        where: NDArray[np.int64],
        every: Iterable[tuple[str, ...]],
    ) -> dict[tuple[str, ...], NDArray[np.int64]]:
        """Recognise utterances by each of some choices of the modalities.

        Returns
        -------
        dict
            Places among the labels, ``(n,)``, by the choice.
        """
        joined = side_by_side(self.branches, modalities, where)
        labels = np.zeros(len(where), np.int32)
        return {
            known: self.fusing.predict(_examples(joined.masked(known), labels)) for known in every
        }


@dataclass(frozen=True)
class SideBySide:
    """Embeddings of utterances, by modality.

    Attributes
    ----------
    parts
        Of each modality, shape ``(n, units)``; zeros where an utterance lacks it.
    """

    parts: Mapping[str, NDArray[np.float32]]

    def masked(self, known: tuple[str, ...]) -> NDArray[np.float32]:
        """Join them, with zeros in the place of modalities that are not known."""
        return np.concatenate(
            [part if name in known else np.zeros_like(part) for name, part in self.parts.items()],
            axis=1,
        )


def side_by_side(
    branches: Mapping[str, TrainedModel],
    modalities: Mapping[str, Modality],
    where: NDArray[np.int64],
) -> SideBySide:
    """Compute the embeddings of utterances by every branch."""
    parts = {}
    for name, branch in branches.items():
        own = modalities[name]
        rows = branch.embed(own.examples.take(where))
        rows[~own.there[where]] = 0
        parts[name] = rows
    return SideBySide(parts)


def choices(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Give every choice of at least one of some modalities, all of them first."""
    sizes = range(len(names), 0, -1)
    return [choice for size in sizes for choice in combinations(names, size)]


def _examples(rows: NDArray[np.float32], labels: NDArray[np.int32]) -> Examples:
    return Examples(rows[:, None], np.ones(len(rows), np.int32), labels)
