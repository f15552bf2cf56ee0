"""Local training: one loop over batches, whatever engine computes the steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import TrainingError
from shared.features.augmentation import augment
from shared.front_ends import front_end_of
from shared.lengths import model_length, padded
from shared.training import Examples, TrainingSettings
from shared.weights import Weights

Streams = Callable[..., np.random.Generator]
"""Opens the random stream of a name within this training run."""


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """What an optimiser remembers between steps.

    Attributes
    ----------
    step
        Steps taken.
    slots
        ``m`` and ``v`` of Adam, ``momentum`` of SGD with momentum: flat vectors as the weights, or
        of the head alone where nothing else is trained.
    """

    step: int = 0
    slots: dict[str, Weights] = field(default_factory=dict)


class Engine(Protocol):
    """Computes training steps and logits for one architecture.

    There are two: TFLite on a device, Keras on a workstation.
    """

    architecture: Architecture

    def begin(
        self,
        weights: Weights,
        settings: TrainingSettings,
        *,
        anchor: Weights,
        correction: Weights | None = None,
        optimizer: OptimizerState | None = None,
    ) -> None:
        """Take over weights and optimiser state for the steps to come.

        Parameters
        ----------
        weights
            Where to start.
        settings
            Optimiser, learning rate, FedProx's mu, dropout, head only.
        anchor
            The round's global weights, to which FedProx pulls.
        correction
            Added to each gradient: SCAFFOLD's ``c - c_i``.
        optimizer
            What an earlier run left; a fresh start if not given.
        """
        ...

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        """Take one optimiser step and return the batch's mean loss.

        Parameters
        ----------
        features
            Shape ``(b, L, features)``, b at most the settings' batch size, L as
            :func:`shared.lengths.model_length` gives it.
        frames
            Shape ``(b,)``: the true lengths. A model that pools over time counts a frame behind
            its convolutions only if all that it was computed from are true frames; other models
            ignore the lengths.
        labels
            Shape ``(b,)``.
        seed
            Of this step's dropout masks, 63 bits.
        """
        ...

    def weights(self) -> Weights:
        """Copy out the weights as they are now."""
        ...

    def optimizer(self) -> OptimizerState:
        """Copy out the optimiser's state as it is now."""
        ...

    def logits(
        self, weights: Weights, features: NDArray[np.float32], frames: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Compute logits of shape ``(n, labels)``.

        Features have the shape ``(n, L, features)``, and what lies behind the true lengths
        ``frames``, shape ``(n,)``, does not matter to a model that pools over time.
        """
        ...

    def release(self) -> None:
        """Give back what memory it can: there may be little, and long until the next round."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training run has come: all that is needed to go on to the same weights.

    Attributes
    ----------
    step
        Steps taken.
    weights
        The weights after them.
    optimizer
        The optimiser after them.
    losses
        The loss of each step.
    """

    step: int
    weights: Weights
    optimizer: OptimizerState
    losses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of one client's training in one round.

    Attributes
    ----------
    weights
        Where it ended.
    steps
        Optimiser steps taken.
    loss
        Mean loss over its steps.
    """

    weights: Weights
    steps: int
    loss: float


def train(
    engine: Engine,
    start: Weights | Progress,
    examples: Examples,
    settings: TrainingSettings,
    streams: Streams,
    *,
    anchor: Weights | None = None,
    correction: Weights | None = None,
    stop: Callable[[int], bool] | None = None,
) -> Trained | Progress:
    """Train on one client's examples.

    Every random choice of a step comes from a stream named after the step, so a run that was
    stopped and resumed ends in the same weights, bit for bit, as one that was not.

    Parameters
    ----------
    engine
        What computes the steps.
    start
        The global weights, or the progress of a stopped run.
    examples
        The client's own.
    settings
        As announced for the round.
    streams
        Random streams of this client in this round.
    anchor
        The round's global weights; ``start`` if that is not a progress.
    correction
        SCAFFOLD's ``c - c_i``.
    stop
        Asked before each step, with the number of steps taken; true stops the run.

    Returns
    -------
    Trained or Progress
        The outcome; or, if it was stopped, how far it came.

    Raises
    ------
    TrainingError
        If the examples cannot be trained on, or a loss is not finite.
    """
    examples.check(engine.architecture.task)
    if isinstance(start, Progress):
        if anchor is None:
            raise ValueError("a resumed run needs the round's global weights")
        begun = start
    else:
        anchor = start if anchor is None else anchor
        begun = Progress(0, start, OptimizerState())
    engine.begin(
        begun.weights, settings, anchor=anchor, correction=correction, optimizer=begun.optimizer
    )
    losses = list(begun.losses)
    length = model_length(engine.architecture, examples.frames)
    total = settings.total_steps(len(examples))
    for step, where in _batches(len(examples), settings.batch_size, begun.step, total, streams):
        if stop is not None and stop(step):
            return Progress(step, engine.weights(), engine.optimizer(), tuple(losses))
        batch = examples.take(where)
        features = batch.features
        if features.shape[1] != length:
            features = padded(features, batch.frames, length)
        if settings.augmentation:
            front_end = front_end_of(engine.architecture.task.front_end)
            features = augment(features, batch.frames, streams("augmentation", step), front_end)
        seed = int(streams("dropout", step).integers(1 << 63)) if settings.dropout else 0
        loss = engine.step(features, batch.frames, batch.labels, seed)
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss is not finite after {step + 1} steps.", "Try a smaller learning rate."
            )
        losses.append(loss)
    return Trained(engine.weights(), total, float(np.mean(losses)))


def control_change(delta: Weights, control: Weights, steps: int, learning_rate: float) -> Weights:
    """Compute SCAFFOLD's change of a client's control variate.

    Option II of Karimireddy et al. (2020), equation 4.

    Parameters
    ----------
    delta
        The client's weights after training minus the round's global ones.
    control
        The server's control variate.
    steps, learning_rate
        Of the client's training.
    """
    return -control - delta / np.float32(steps * learning_rate)


def _batches(
    count: int, size: int, first: int, total: int, streams: Streams
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Give the steps from ``first`` to ``total``, each with the indices of its batch.

    Each epoch is shuffled anew; its last batch may be smaller.
    """
    per_epoch = -(-count // size)
    order, shuffled = np.empty(0, np.int64), -1
    for step in range(first, total):
        epoch, batch = divmod(step, per_epoch)
        if epoch != shuffled:
            order, shuffled = streams("shuffle", epoch).permutation(count), epoch
        yield step, order[batch * size : (batch + 1) * size]
