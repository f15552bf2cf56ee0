"""Computes with Keras what the engine should: `python -m tests.edge_client.tflite.reference OUT`.

It runs where TensorFlow is; the tests that read its outcome run where it is not.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from converters.keras_models import build, forward, set_weights
from shared.architectures import Architecture
from shared.lengths import shares
from shared.weights import Weights
from tests.edge_client.tflite.cases import (
    CASES,
    MODELS,
    MOMENTUM,
    RATE,
    STEPS_BATCH,
    batch,
    draw_masks,
    sample,
    steps,
    weights,
)

Arrays = dict[str, NDArray[Any]]


class Model:
    """A Keras model whose dropout masks are given."""

    def __init__(self, architecture: Architecture) -> None:
        tf = import_tensorflow()
        self._architecture = architecture
        self.model = model = build(architecture)
        self.variables = model.trainable_variables

        def gradients(features: Any, counting: Any, labels: Any, masks: Any) -> Any:
            given = iter(masks)
            with tf.GradientTape() as tape:
                logits = forward(model, features, counting, lambda _, x: x * next(given))
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            return loss, logits, tape.gradient(loss, model.trainable_variables)

        self._gradients = tf.function(gradients, reduce_retracing=True)

    def load(self, vector: Weights) -> None:
        set_weights(self.model, self._architecture, vector)

    def vector(self) -> Weights:
        return np.concatenate([np.ravel(variable.numpy()) for variable in self.variables])

    def gradients(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int | None,
    ) -> Any:
        masks = draw_masks(self._architecture, seed)
        counting = shares(self._architecture, frames)
        return self._gradients(features, counting, labels, [mask[: len(labels)] for mask in masks])


def references(architecture: Architecture) -> Iterator[tuple[str, NDArray[Any]]]:
    """Compute everything for one architecture."""
    import keras

    model, start = Model(architecture), weights(architecture)
    for case in CASES:
        given = batch(case.size, architecture)
        model.load(start)
        seed = case.size if case.dropout else None
        loss, logits, gradients = model.gradients(*given, seed)
        yield f"{case.name}/loss", np.array(loss)
        if not case.dropout:
            yield f"{case.name}/logits", logits.numpy()
        for name, optimiser in (
            ("adam", keras.optimizers.Adam(RATE)),
            ("sgd", keras.optimizers.SGD(RATE)),
        ):
            model.load(start)
            optimiser.apply(gradients, model.variables)
            for number, tensor in enumerate(sample(model.vector(), architecture)):
                yield f"{case.name}/{name}/{number}", tensor
    given = batch(STEPS_BATCH, architecture)
    model.load(start)
    optimiser = keras.optimizers.Adam(1e-4)
    losses = []
    for step in range(steps(architecture)):
        loss, _, gradients = model.gradients(*given, step)
        optimiser.apply(gradients, model.variables)
        losses.append(float(loss))
    yield "losses", np.array(losses)


def optimisers() -> Iterator[tuple[str, NDArray[Any]]]:
    """Take five steps of each optimiser with gradients that were drawn."""
    import keras

    rng = np.random.default_rng(2)
    start = rng.standard_normal(1000, np.float32)
    drawn = rng.standard_normal((5, 1000), np.float32)
    yield "start", start
    yield "gradients", drawn
    for name, optimiser in (
        ("adam", keras.optimizers.Adam(RATE)),
        ("sgd", keras.optimizers.SGD(RATE)),
        ("momentum", keras.optimizers.SGD(RATE, momentum=MOMENTUM)),
    ):
        variable = keras.Variable(start)
        for gradient in drawn:
            optimiser.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        yield name, variable.numpy()


def main(out: Path) -> None:
    """Write one file for each architecture, and one for the optimisers."""
    import_tensorflow()
    for name, architecture in MODELS.items():
        np.savez(out / f"{name}.npz", **dict(references(architecture)))
    np.savez(out / "optimisers.npz", **dict(optimisers()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
