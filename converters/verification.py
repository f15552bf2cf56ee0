"""Compares what TFLite files compute with Keras, in the runtime that a device has."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.inference_graph import Quantize
from converters.training_graphs import BATCH
from shared.architectures import DROPOUT, FEATURES, FRAMES, Architecture
from shared.emotions import EMOTIONS
from shared.errors import ChorusError
from shared.tflite import Session, across, find_runtime
from shared.weights import Weights, initial_weights, split

if TYPE_CHECKING:
    import keras

GRADIENT_TOLERANCE: Final = 1e-4
"""Largest error of a gradient, relative to its tensor's largest value."""

LOGITS_TOLERANCE: Final[dict[Quantize, float]] = {"float32": 1e-5, "float16": 1e-2, "int8": 0.2}
"""Largest error of a logit, relative to the largest one where that is above one."""


def keras_step(
    architecture: Architecture,
    weights: Weights,
    features: NDArray[np.float32],
    labels: NDArray[np.int32],
    masks: list[NDArray[np.float32]],
) -> tuple[float, Weights]:
    """Compute a batch's mean loss and its gradient with Keras and the masks given.

    Parameters
    ----------
    architecture, weights
        The model.
    features, labels
        Shapes ``(b, 100, 34)`` and ``(b,)``.
    masks
        One for each dropout layer, shape of its input but for the first axis, which may be longer.

    Returns
    -------
    (float, Weights)
        The loss, and its gradient as a flat vector.
    """
    import keras
    import tensorflow as tf

    model = _model(architecture, weights)
    given = iter(masks)
    with tf.GradientTape() as tape:
        values: Any = tf.constant(features)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                values = values * next(given)[: len(labels)]
            else:
                values = layer(values)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, values)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), np.concatenate([np.ravel(tensor) for tensor in gradients])


def keras_logits(
    architecture: Architecture, weights: Weights, features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute logits with Keras: shape ``(n, 4)``, for features of shape ``(n, 100, 34)``."""
    logits: NDArray[np.float32] = _model(architecture, weights)(features).numpy()
    return logits


def verify_trainable(content: bytes, architecture: Architecture, threads: int = 1) -> str:
    """Run one training step and one inference of a trainable file against Keras.

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
    weights = initial_weights(architecture, rng)
    features = rng.standard_normal((BATCH, FRAMES, FEATURES), np.float32)
    labels = rng.integers(0, len(EMOTIONS), BATCH, np.int32)
    loss, gradient, masks = _runtime_step(content, weights, features, labels, threads)
    expected_loss, expected = keras_step(architecture, weights, features, labels, masks)
    errors = [abs(loss - expected_loss)]
    for spec in architecture.manifest:
        difference = np.abs(gradient[spec.where] - expected[spec.where]).max()
        errors.append(float(difference / np.abs(expected[spec.where]).max()))
    _demand(max(errors), GRADIENT_TOLERANCE, architecture, "gradients")
    session = Session(content, "infer", threads, delegates=False)
    for name, tensor in split(weights, architecture).items():
        session.view(name)[:] = across(tensor)
    logits = _compare_logits(session, architecture, weights, features[:2])
    _demand(logits, LOGITS_TOLERANCE["float32"], architecture, "logits")
    return f"gradients {max(errors):.0e}, logits {logits:.0e} from Keras ({_runtime()})"


def verify_inference(
    content: bytes, architecture: Architecture, weights: Weights, quantize: Quantize
) -> str:
    """Run an inference-only file against Keras; returns and raises as the above."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3, FRAMES, FEATURES), np.float32)
    session = Session(content, "infer", 1, delegates=False)
    error = _compare_logits(session, architecture, weights, features)
    _demand(error, LOGITS_TOLERANCE[quantize], architecture, "logits")
    return f"logits {error:.0e} from Keras ({_runtime()})"


def _model(architecture: Architecture, weights: Weights) -> "keras.Model":
    from converters.keras_models import build, set_weights

    model = build(architecture)
    set_weights(model, architecture, weights)
    return model


def _runtime_step(
    content: bytes,
    weights: Weights,
    features: NDArray[np.float32],
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[float, Weights, list[NDArray[np.float32]]]:
    """Run the signature ``train``; give the loss, the gradient, and the masks that were used."""
    rng = np.random.default_rng(1)
    session = Session(content, "train", threads)
    session.view("features")[:] = features
    session.view("targets")[:] = np.eye(len(EMOTIONS))[labels] / len(labels)
    parts, masks, start = [], [], 0
    for name in session.inputs:
        view = session.view(name)
        if name.endswith("_weights"):
            view.reshape(-1)[:] = weights[start : start + view.size]
            start += view.size
            parts.append(f"{name}_gradient")
        elif name.endswith("_mask"):
            view[:] = (rng.random(view.shape) >= DROPOUT) / (1 - DROPOUT)
            masks.append(view.copy())
    session.run()
    gradient = np.concatenate([session.view(name).reshape(-1) for name in parts])
    return float(session.view("loss")[0]), gradient, masks


def _compare_logits(
    session: Session,
    architecture: Architecture,
    weights: Weights,
    features: NDArray[np.float32],
) -> float:
    """Give the largest error of ``infer``, relative to the largest logit where that is above 1."""
    expected = keras_logits(architecture, weights, features)
    errors = []
    for utterance, logits in zip(features, expected, strict=True):
        session.view("features")[0] = utterance
        session.run()
        errors.append(np.abs(session.view("logits")[0] - logits).max())
    return float(max(errors) / max(1.0, np.abs(expected).max()))


def _demand(error: float, tolerance: float, architecture: Architecture, what: str) -> None:
    if not error <= tolerance:
        raise ChorusError(
            f"The {architecture.name} file does not compute what Keras does: its {what} are off "
            f"by {error:.1e} in {_runtime()}. It was not written."
        )


def _runtime() -> str:
    runtime = find_runtime()
    return f"{runtime.name} {runtime.version}"
