"""Keras models of one's own, which a simulation trains as it trains ours.

A function builds the model: ``build(frames, features, labels)`` gives a ``keras.Model`` from
``(n, frames, features)`` to logits ``(n, labels)``. ``frames`` is ``None`` where utterances vary in
length. Its dropout is drawn from the seeds of the steps.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from converters.keras_import import import_tensorflow
from shared.architectures import MODELS, Architecture, KerasModel, TensorSpec, architecture_of
from shared.errors import SettingsError, reason_of
from shared.layers import HEAD
from shared.task import Task
from shared.weights import Weights


@dataclass(frozen=True)
class OwnModel(Architecture):
    """A model that a function builds, known by the tensors that it trains.

    Attributes
    ----------
    builder
        The function.
    tensors
        What it trains, in the order of the model's variables; numbered, but for those of a layer
        called :data:`shared.layers.HEAD`.
    """

    builder: KerasModel | None = None
    tensors: tuple[TensorSpec, ...] = ()

    @cached_property
    def manifest(self) -> tuple[TensorSpec, ...]:
        """Every tensor, in the order of the flat vector."""
        return self.tensors

    @cached_property
    def head_offset(self) -> int:
        """Where the head begins in the flat vector; with the first value if no layer is one."""
        return next((spec.offset for spec in self.tensors if spec.layer == HEAD), 0)

    def check_head(self) -> None:
        """Raise :class:`SettingsError` unless a layer is called like a head."""
        if not any(spec.layer == HEAD for spec in self.tensors):
            raise SettingsError(
                f"{self.name} has no layer called {HEAD}, at which its head begins.",
                "Train all of it, or name one of its layers so.",
            )

    def keras_model(self) -> Any:
        """Build the Keras model.

        Raises
        ------
        SettingsError
            If the function fails, or gives something else.
        """
        import keras

        if self.builder is None:
            raise ValueError("an own model has a builder")
        frames = None if self.variable else self.frames
        try:
            model = self.builder.build(frames, self.features, self.labels)
        except Exception as error:
            raise SettingsError(
                f"{self.name} cannot build its model: {reason_of(error)}.",
                "It is called with frames, features and labels, and gives a keras.Model.",
            ) from error
        if not isinstance(model, keras.Model):
            raise SettingsError(
                f"{self.name} gives something of type {type(model).__name__}, not a keras.Model."
            )
        shapes = (None, frames, self.features), (None, self.labels)
        if (model.input_shape, model.output_shape) != shapes:
            raise SettingsError(
                f"The model of {self.name} takes {model.input_shape} and gives "
                f"{model.output_shape}; {shapes[0]} and {shapes[1]} are needed."
            )
        if not model.trainable_weights or model.non_trainable_weights:
            raise SettingsError(
                f"The model of {self.name} has weights that are not trained, or no weights.",
                "Clients can only average what they train: replace batch normalisation by layer "
                "normalisation, and freeze no layer.",
            )
        return model

    def initial(self, rng: np.random.Generator) -> Weights:
        """Draw fresh weights by the model's own initialisers: shape ``(parameters,)``."""
        import keras

        keras.utils.set_random_seed(int(rng.integers(1 << 31)))
        weights = self.keras_model().trainable_weights
        return np.concatenate([np.ravel(tensor.numpy()).astype(np.float32) for tensor in weights])


def model_of(name: str, task: Task) -> Architecture:
    """Give the model of a simulation: one of layers, or a Keras model of one's own.

    Raises
    ------
    SettingsError
        If there is none of this name, or it cannot be simulated for this task.
    """
    found = MODELS.get(name)
    if not isinstance(found, KerasModel):
        return architecture_of(name, task)
    import_tensorflow()
    front_end = task.front_end
    model = OwnModel(name, (), front_end.frames, front_end.features, task, found)
    specs: list[TensorSpec] = []
    offset = 0
    for number, tensor in enumerate(model.keras_model().trainable_weights):
        layer = HEAD if HEAD in tensor.path.split("/") else f"{number:03}"
        specs.append(
            TensorSpec(f"{layer}/{number:03}-{tensor.name}", tuple(tensor.shape), 0, 0, offset)
        )
        offset += specs[-1].size
    return OwnModel(name, (), front_end.frames, front_end.features, task, found, tuple(specs))


def seeded(model: Any, features: Any, seeds: Any) -> Any:
    """Compute a Keras model's logits; with dropout if there are seeds for it, shape ``(2,)``."""
    import tensorflow as tf

    if seeds is None:
        return model(features, training=False)
    weights = {id(variable) for variable in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]
    for number, state in enumerate(states):
        state.assign(tf.cast(tf.stack([seeds[0], seeds[1] + number]), state.dtype))
    return model(features, training=True)
