"""Compares what TFLite files compute with Keras, in the runtime that a device has."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import ChorusError
from shared.graphs.inference_graph import Quantize
from shared.graphs.training_graphs import BATCH
from shared.layers import DROPOUT
from shared.lengths import shares
from shared.tflite import (
    MASK_UNIT,
    Session,
    across,
    fill_weights,
    find_runtime,
    mask_inputs,
    weight_places,
)
from shared.weights import Weights, split

if TYPE_CHECKING:
    import keras

GRADIENT_TOLERANCE: Final = 1e-4
"""Largest error of a gradient, relative to its tensor's largest value."""

LOGITS_TOLERANCE: Final[dict[Quantize, float]] = {"float32": 1e-5, "float16": 1e-2, "int8": 0.2}
"""Largest error of a logit, relative to the largest one where that is above one."""


_BIASES: Final = 0.3
"""Standard deviation of the biases that a trainable file is checked with."""


def keras_step(
    architecture: Architecture,
    weights: Weights,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
    labels: NDArray[np.int32],
    masks: list[NDArray[np.float32]],
) -> tuple[float, Weights]:
    """Compute a batch's mean loss and its gradient with Keras and the masks given.

    Parameters
    ----------
    architecture, weights
        The model.
    features, frames, labels
        Shapes ``(b, architecture.frames, features)``, ``(b,)`` and ``(b,)``.
    masks
        One for each dropout layer, shape of its input but for the first axis, which may be longer.

    Returns
    -------
    (float, Weights)
        The loss, and its gradient as a flat vector.
    """
    import tensorflow as tf

    from converters.keras_models import forward

    model = _model(architecture, weights)
    given = iter(masks)

    def dropout(_: int, hidden: Any) -> Any:
        return hidden * next(given)[: len(labels)]

    with tf.GradientTape() as tape:
        counting = shares(architecture, frames)
        logits = forward(model, tf.constant(features), counting, dropout)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), np.concatenate([np.ravel(tensor) for tensor in gradients])


def keras_logits(
    architecture: Architecture,
    weights: Weights,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Compute logits with Keras; shapes as above."""
    from converters.keras_models import forward

    model = _model(architecture, weights)
    logits: NDArray[np.float32] = forward(model, features, shares(architecture, frames)).numpy()
    return logits


def verify_trainable(content: bytes, architecture: Architecture, threads: int = 1) -> str:
    """Run a step of each training signature and one inference of a trainable file against Keras.

    Returns
    -------
    str
        What was compared and how large the largest error was.

    Raises
    ------
    ChorusError
        If they differ.
    """
    rng = np.random.default_rng(0)
    weights = _telling_weights(architecture, rng)
    features, frames, labels = _drawn(rng, architecture, BATCH)
    whole = Session(content, "train", threads)
    masks = [
        (rng.random(whole.inputs[name]) >= DROPOUT).astype(np.float32) / np.float32(1 - DROPOUT)
        for name in mask_inputs(whole)
    ]
    expected = keras_step(architecture, weights, features, frames, labels, masks)
    head = Session(content, "train_head", threads)
    gradients = 0.0
    for session in (whole, head):
        fill_weights(session, weights)
        _fill(session, architecture, features, frames)
        found = _runtime_step(session, labels, masks)
        error = _step_error(architecture, found, expected)
        _demand(error, GRADIENT_TOLERANCE, architecture, f"gradients ({session.signature})")
        gradients = max(gradients, error)
    wanted = keras_logits(architecture, weights, features, frames)
    _runtime_step(head, labels, [np.ones_like(mask) for mask in masks])
    one = Session(content, "infer", threads, delegates=False)
    for name, tensor in split(weights, architecture).items():
        one.view(name)[:] = across(tensor)
    logits = np.concatenate([head.view("logits"), _infer(one, architecture, features, frames)])
    error = _logits_error(logits, np.concatenate([wanted, wanted]))
    _demand(error, LOGITS_TOLERANCE["float32"], architecture, "logits")
    return f"gradients {gradients:.0e}, logits {error:.0e} from Keras ({_runtime()})"


def verify_inference(
    content: bytes, architecture: Architecture, weights: Weights, quantize: Quantize
) -> str:
    """Run an inference-only file against Keras; returns and raises as the above."""
    rng = np.random.default_rng(0)
    features, frames, _ = _drawn(rng, architecture, 3)
    session = Session(content, "infer", 1, delegates=False)
    wanted = keras_logits(architecture, weights, features, frames)
    error = _logits_error(_infer(session, architecture, features, frames), wanted)
    _demand(error, LOGITS_TOLERANCE[quantize], architecture, "logits")
    return f"logits {error:.0e} from Keras ({_runtime()})"


def _model(architecture: Architecture, weights: Weights) -> "keras.Model":
    from converters.keras_models import build, set_weights

    model = build(architecture)
    set_weights(model, architecture, weights)
    return model


def _telling_weights(architecture: Architecture, rng: np.random.Generator) -> Weights:
    """Draw weights each of which tells in logits and gradients.

    Those that a model begins with do not: its biases are zero, and all of a lone kernel. Kernels
    are drawn so that what passes through layers of ReLU keeps its size (He et al., 2015).
    """
    vector = np.empty(architecture.parameters, np.float32)
    for spec in architecture.manifest:
        size = math.sqrt(2 / spec.fan_in) if spec.name.endswith("kernel") else _BIASES
        vector[spec.where] = np.float32(size) * rng.standard_normal(spec.size, np.float32)
    return vector


def _drawn(
    rng: np.random.Generator, architecture: Architecture, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Draw features, true lengths and labels."""
    shape = (count, architecture.frames, architecture.features)
    features = rng.standard_normal(shape, np.float32)
    labels = rng.integers(0, architecture.labels, count, np.int32)
    frames = rng.integers(architecture.reach, architecture.frames + 1, count, np.int32)
    return features, frames, labels


def _fill(
    session: Session,
    architecture: Architecture,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
) -> None:
    session.view("features")[:] = features
    if architecture.pools:
        session.view("shares")[:] = shares(architecture, frames)


def _runtime_step(
    session: Session,
    labels: NDArray[np.int32],
    masks: Sequence[NDArray[np.float32]],
) -> tuple[float, Weights]:
    """Run a training signature on what was filled in; give loss and gradient of what it trains."""
    classes = session.inputs["targets"][1]
    session.view("targets")[:] = np.eye(classes)[labels] / len(labels)
    for name, mask in zip(mask_inputs(session), masks, strict=True):
        view = session.view(name)
        view[:] = mask / MASK_UNIT if view.dtype == np.int8 else mask
    session.run()
    parts = [f"{name}_gradient" for name in weight_places(session)]
    found = [session.view(part).reshape(-1) for part in parts if part in session.outputs]
    return float(session.view("loss")[0]), np.concatenate(found)


def _step_error(
    architecture: Architecture, found: tuple[float, Weights], expected: tuple[float, Weights]
) -> float:
    """Give the largest error of the loss, and of a gradient relative to its tensor's largest value.

    A gradient that is shorter than the flat vector is that of the vector's end.
    """
    errors = [abs(found[0] - expected[0])]
    first = architecture.parameters - found[1].size
    for spec in architecture.manifest:
        if spec.offset >= first:
            wanted = expected[1][spec.where]
            gradient = found[1][spec.offset - first :][: spec.size]
            errors.append(float(np.abs(gradient - wanted).max() / np.abs(wanted).max()))
    # Not `max`, which may step over what is not a number.
    return float(np.max(errors))


def _infer(
    session: Session,
    architecture: Architecture,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Run the signature ``infer`` on each utterance."""
    logits = []
    for utterance, length in zip(features, frames, strict=True):
        _fill(session, architecture, utterance[None], length[None])
        session.run()
        logits.append(session.view("logits")[0].copy())
    return np.stack(logits)


def _logits_error(logits: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Give the largest error, relative to the largest logit where that is above one."""
    return float(np.abs(logits - expected).max() / max(1.0, np.abs(expected).max()))


def _demand(error: float, tolerance: float, architecture: Architecture, what: str) -> None:
    if not error <= tolerance:
        raise ChorusError(
            f"The {architecture.name} file does not compute what Keras does: its {what} are off "
            f"by {error:.1e} in {_runtime()}. It was not written."
        )


def _runtime() -> str:
    runtime = find_runtime()
    return f"{runtime.name} {runtime.version}"
