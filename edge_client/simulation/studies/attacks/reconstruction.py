"""Features rebuilt from an update: by formula from a linear model, by search from any other.

Both know the model, how many examples there were, and their labels, which
:func:`.inferences.count_labels` tells. The update is one step of gradient descent, of any length.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.own_model import OwnModel
from shared.architectures import Architecture
from shared.layers import Dense
from shared.weights import Weights, split

ROUNDS: Final = 200
"""Steps of the search."""

_RATE: Final = 0.1
_SMOOTHNESS: Final = 1e-3
_SOLVED: Final = 50
"""Times that the formula is applied, each with the probabilities of what it found before."""

Features = NDArray[np.float32]
"""Normalised, of several utterances: shape ``(n, frames, features)``, float32."""

Labels = NDArray[np.int32]


def is_linear(architecture: Architecture) -> bool:
    """Whether features are rebuilt by formula, in no time."""
    return len(architecture.layers) == 1 and isinstance(architecture.layers[0], Dense)


def rebuild(
    architecture: Architecture,
    weights: Weights,
    update: Weights,
    labels: Labels,
    rng: np.random.Generator,
) -> Features:
    """Rebuild the features that a step of gradient descent was taken on.

    Parameters
    ----------
    architecture, weights
        The model that was trained, and its weights before.
    update
        The difference of the weights, of any length but zero: shape ``(parameters,)``.
    labels
        Of the examples, shape ``(n,)``, in any order.
    rng
        Where a search begins.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, frames, features)``, in the order of the labels. From a linear model their
        length means nothing where it was not the update's own.
    """
    if is_linear(architecture):
        return _solved(architecture, weights, update, labels)
    return _searched(architecture, weights, update, labels, rng)


def _solved(
    architecture: Architecture, weights: Weights, update: Weights, labels: Labels
) -> Features:
    """Rebuild from the gradient of a softmax regression.

    That of the kernel is the sum of the features, each times the example's error (its probabilities
    less its label), and that of the bias the sum of the errors alone. So one example's features are
    the quotient of the two (Geiping et al., 2020, proposition 3.1). Of several there are as many
    mixtures as labels, less one; the shortest features that make these are taken, with the errors
    of those found before, starting from features of zero.
    """
    kernel, bias = (np.asarray(part, np.float64) for part in split(weights, architecture).values())
    moved, shifted = (
        -np.asarray(part, np.float64) for part in split(update, architecture).values()
    )
    count, frames = len(labels), (architecture.frames, architecture.features)
    target = np.eye(architecture.labels)[labels]
    if count == 1:
        # A codec may have left out the bias. The error at the label is negative all the same.
        errors = shifted if shifted.any() else -target[0]
        found = (moved @ errors / (errors @ errors))[None]
        return found.reshape(1, *frames).astype(np.float32)
    found = np.zeros((count, len(kernel)))
    for _ in range(_SOLVED):
        logits = found @ kernel + bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors = (odds / odds.sum(axis=1, keepdims=True) - target) / count
        found = np.linalg.pinv(errors.T, rcond=1e-3) @ moved.T
    return found.reshape(count, *frames).astype(np.float32)


def _searched(
    architecture: Architecture,
    weights: Weights,
    update: Weights,
    labels: Labels,
    rng: np.random.Generator,
) -> Features:
    """Search features whose gradient points where the update does not.

    What is made small is one plus the cosine of the two, and the differences between neighbouring
    frames; by Adam on the signs of the gradient, at a rate that falls (Geiping et al., 2020,
    https://arxiv.org/abs/2003.14053).
    """
    import tensorflow as tf

    size = (len(labels), architecture.frames, architecture.features)
    sought = tf.Variable(rng.standard_normal(size).astype(np.float32))
    step = _step(architecture, weights, update, labels, sought)
    first, second = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for number in range(1, ROUNDS + 1):
        slope = np.sign(step())
        first += 0.1 * (slope - first)
        second += 0.001 * (slope**2 - second)
        pace = _RATE * 0.1 ** sum(number > ROUNDS * part for part in (3 / 8, 5 / 8, 7 / 8))
        move = (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
        sought.assign_sub((pace * move).astype(np.float32))
    return np.asarray(sought.numpy(), np.float32)


def _step(
    architecture: Architecture, weights: Weights, update: Weights, labels: Labels, sought: Any
) -> Callable[[], Features]:
    """Compile what gives the slope of the search at the features that it has reached."""
    import tensorflow as tf

    from converters.keras_models import build, forward

    own = isinstance(architecture, OwnModel)
    model = (
        architecture.keras_model() if isinstance(architecture, OwnModel) else build(architecture)
    )
    variables = [variable.value for variable in model.trainable_variables]
    for variable, values in zip(variables, split(weights, architecture).values(), strict=True):
        variable.assign(values)
    wanted = [tf.constant(-part) for part in split(update, architecture).values()]
    length = tf.constant(float(np.linalg.norm(update)))

    @tf.function(autograph=False)  # type: ignore[untyped-decorator] # TensorFlow has no types
    def slope() -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(sought)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(variables)
                logits = model(sought) if own else forward(model, sought)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            found = inner.gradient(loss, variables)
            product = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(found, wanted, strict=True)])
            size = tf.sqrt(tf.add_n([tf.reduce_sum(a * a) for a in found]) + 1e-30)
            rough = tf.reduce_mean(tf.abs(sought[:, 1:] - sought[:, :-1]))
            cost = 1 - product / (size * length) + _SMOOTHNESS * rough
        return outer.gradient(cost, sought)

    return lambda: slope().numpy()


def likeness(found: Features, true: Features, frames: NDArray[np.int32]) -> float:
    """Say how alike rebuilt and true features are.

    Each true utterance is compared with another rebuilt one, so that the mean is the largest.

    Parameters
    ----------
    found, true
        Shape ``(n, frames, features)``.
    frames
        Shape ``(n,)``: true frames; what lies behind them does not count.

    Returns
    -------
    float
        The mean of the correlations: 1 if all values are right but for a factor and a shift.
    """
    from scipy.optimize import linear_sum_assignment

    alike = np.empty((len(true), len(found)))
    for place, count in enumerate(frames.tolist()):
        own = _centred(true[place : place + 1, :count])
        alike[place] = _centred(found[:, :count]) @ own[0]
    rows, columns = linear_sum_assignment(-alike)
    return float(alike[rows, columns].mean())


def _centred(features: Features) -> NDArray[np.float64]:
    flat = features.reshape(len(features), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30))
