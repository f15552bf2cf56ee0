"""The training engine of a workstation: Keras layers, compiled steps.

A step is one compiled TensorFlow function: forward pass, gradients, and TensorFlow's own fused
optimiser kernels, which compute what Keras' Adam and SGD compute in a single pass over each
tensor. Weights enter and leave as flat vectors, once a client and round.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from converters.keras_models import build, forward
from edge_client.learning.training import OptimizerState
from edge_client.simulation.own_model import OwnModel, seeded
from shared.architectures import Architecture
from shared.layers import DROPOUT
from shared.lengths import model_length, padded, shares
from shared.training import TrainingSettings
from shared.weights import Weights, split

BETA1: Final = 0.9
BETA2: Final = 0.999
EPSILON: Final = 1e-7
"""Adam's constants, as in Keras."""

_EVALUATION_BATCH: Final = 256


class KerasEngine:
    """Computes training steps and logits with Keras.

    Parameters
    ----------
    architecture
        The model.
    threads
        Engines that compute at the same time, each on one core.
    """

    def __init__(self, architecture: Architecture, threads: int = 1) -> None:
        self._tf = import_tensorflow(threads)
        self.architecture = architecture
        self._model = (
            architecture.keras_model()
            if isinstance(architecture, OwnModel)
            else build(architecture)
        )
        variables = [variable.value for variable in self._model.trainable_variables]
        self._weights = _Vector(architecture, variables)
        self._trained = variables
        self._slots: dict[str, _Vector] = {}
        self._anchor: _Vector | None = None
        self._correction: _Vector | None = None
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._forward: Callable[..., Any] | None = None
        self._settings = TrainingSettings()
        self._count = 0

    def begin(
        self,
        weights: Weights,
        settings: TrainingSettings,
        *,
        anchor: Weights,
        correction: Weights | None = None,
        optimizer: OptimizerState | None = None,
    ) -> None:
        """Take over weights and optimiser state; see :class:`Engine`."""
        optimizer = optimizer or OptimizerState()
        self._settings = settings
        self._count = optimizer.step
        self._weights.set(weights)
        first = 0
        if settings.head_only:
            if isinstance(self.architecture, OwnModel):
                self.architecture.check_head()
            offsets = [spec.offset for spec in self.architecture.manifest]
            first = offsets.index(self.architecture.head_offset)
        self._trained = self._weights.variables[first:]
        for name in _slots_of(settings):
            self._slots[name] = self._filled(self._slots.get(name), optimizer.slots.get(name))
        if settings.proximal:
            self._anchor = self._filled(self._anchor, anchor)
        if correction is not None:
            self._correction = self._filled(self._correction, correction)
        key = (
            settings.optimizer,
            settings.momentum,
            settings.proximal,
            settings.dropout,
            first,
            correction is not None,
        )
        if key not in self._compiled:
            self._compiled[key] = self._compile(settings, corrected=correction is not None)
        self._step = self._compiled[key]

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        """Take one optimiser step; return the batch's mean loss."""
        self._count += 1
        count = np.float32(self._count)
        powers = np.array([np.float32(BETA1) ** count, np.float32(BETA2) ** count], np.float32)
        seeds = np.array([seed & 0x7FFFFFFF, seed >> 32], np.int32)
        rate = np.float32(self._settings.learning_rate)
        counting = self._shares(frames, features.shape[1])
        return float(self._step(features, labels, seeds, rate, powers, *counting))

    def weights(self) -> Weights:
        """Copy out the weights as they are now."""
        return self._weights.get()

    def optimizer(self) -> OptimizerState:
        """Copy out the optimiser's state as it is now."""
        slots = {name: self._slots[name].get() for name in _slots_of(self._settings)}
        return OptimizerState(self._count, slots)

    def logits(
        self, weights: Weights, features: NDArray[np.float32], frames: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Compute logits, without dropout; see :class:`Engine`."""
        tf = self._tf
        self._weights.set(weights)
        if self._forward is None:
            signature = [self._input, *self._shares_input]
            self._forward = tf.function(self._logits, input_signature=signature, autograph=False)
        length = model_length(self.architecture, frames) if len(frames) else 0
        logits = [np.empty((0, self.architecture.labels), np.float32)]
        for start in range(0, len(features), _EVALUATION_BATCH):
            here = slice(start, start + _EVALUATION_BATCH)
            batch = features[here]
            if self.architecture.pools:
                batch = padded(batch, frames[here], length)
            logits.append(self._forward(batch, *self._shares(frames[here], length)).numpy())
        return np.concatenate(logits)

    def release(self) -> None:
        """Keep everything: a workstation has the memory, and the next client comes at once."""

    @property
    def _input(self) -> Any:
        architecture = self.architecture
        frames = None if architecture.variable else architecture.frames
        return self._tf.TensorSpec((None, frames, architecture.features))

    @property
    def _shares_input(self) -> list[Any]:
        return [self._tf.TensorSpec((None, None))] if self.architecture.pools else []

    def _shares(self, frames: NDArray[np.int32], length: int) -> list[NDArray[np.float32]]:
        """Give what frames count, where the model asks for it."""
        architecture = self.architecture
        return [shares(architecture.at(length), frames)] if architecture.pools else []

    def _compile(self, settings: TrainingSettings, *, corrected: bool) -> Callable[..., Any]:
        """Compile a step for settings that change what it computes."""
        tf = self._tf
        trained = self._trained

        def of_trained(vector: _Vector | None) -> list[Any]:
            return vector.variables[-len(trained) :] if vector else []

        anchors = of_trained(self._anchor if settings.proximal else None)
        corrections = of_trained(self._correction if corrected else None)
        slots = [of_trained(self._slots[name]) for name in _slots_of(settings)]

        # Without default values: with one, TensorFlow fails to match the arguments of each call,
        # prints all of them into an error, and then tries another way.
        def step(
            features: Any, labels: Any, seeds: Any, rate: Any, powers: Any, *counting: Any
        ) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(trained)
                counts = counting[0] if counting else None
                logits = self._logits(features, counts, seeds if settings.dropout else None)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, trained)
            if settings.proximal:
                mu = settings.proximal
                pulls = zip(gradients, trained, anchors, strict=True)
                # Not `+ mu * (w - anchor)`: with a correction TensorFlow would make one op of all
                # three, and of that, for a large model, one that cannot run in order.
                gradients = [g - mu * (anchor - w) for g, w, anchor in pulls]
            if corrected:
                pairs = zip(gradients, corrections, strict=True)
                gradients = [g + correction for g, correction in pairs]
            for variable, gradient, *state in zip(trained, gradients, *slots, strict=True):
                if settings.optimizer == "adam":
                    self._adam(variable, gradient, state, rate, powers)
                else:
                    self._sgd(variable, gradient, state, rate, settings.momentum)
            return loss

        inputs = [
            self._input,
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec(()),
            tf.TensorSpec((2,)),
            *self._shares_input,
        ]
        return _compiled(step, inputs)

    def _logits(self, features: Any, counting: Any = None, seeds: Any = None) -> Any:
        """Compute logits; with dropout drawn from seeds, if these are given."""
        if isinstance(self.architecture, OwnModel):
            return seeded(self._model, features, seeds)
        dropout = None if seeds is None else partial(self._drop, seeds)
        return forward(self._model, features, counting, dropout)

    def _drop(self, seeds: Any, number: int, hidden: Any) -> Any:
        """Apply the dropout of a layer, drawn from a step's seeds."""
        seed = self._tf.stack([seeds[0], seeds[1] + number])
        return self._tf.nn.experimental.stateless_dropout(hidden, DROPOUT, seed, rng_alg="philox")

    def _adam(self, variable: Any, gradient: Any, state: list[Any], rate: Any, powers: Any) -> None:
        m, v = state
        self._tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )

    def _sgd(
        self, variable: Any, gradient: Any, state: list[Any], rate: Any, momentum: float
    ) -> None:
        ops = self._tf.raw_ops
        if not state:
            ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
        else:
            ops.ResourceApplyKerasMomentum(
                var=variable.handle,
                accum=state[0].handle,
                lr=rate,
                grad=gradient,
                momentum=momentum,
            )

    def _filled(self, vector: "_Vector | None", values: Weights | None) -> "_Vector":
        """Set a vector, or make it at first use; to zero without values."""
        if vector is None:
            like = self._weights.variables
            zeros = [self._tf.Variable(self._tf.zeros_like(variable)) for variable in like]
            vector = _Vector(self.architecture, zeros)
            if values is None:
                return vector
        vector.set(values)
        return vector


class _Vector:
    """TensorFlow variables that together hold a flat vector.

    It is set by one compiled function: a client's training may take only a few dozen milliseconds,
    and operations that Python starts one by one would be a tenth of them.
    """

    def __init__(self, architecture: Architecture, variables: list[Any]) -> None:
        self._architecture = architecture
        self.variables = variables

    @cached_property
    def _assign(self) -> Callable[..., Any]:
        import tensorflow as tf

        def assign(*tensors: Any) -> None:
            for variable, tensor in zip(self.variables, tensors, strict=True):
                variable.assign(tensor)

        return _compiled(
            assign, [tf.TensorSpec(spec.shape) for spec in self._architecture.manifest]
        )

    @cached_property
    def _fill(self) -> Callable[..., Any]:
        import tensorflow as tf

        # What to fill them with is an argument, or TensorFlow would keep zeros of their size.
        def fill(value: Any) -> None:
            for variable in self.variables:
                variable.assign(tf.fill(variable.shape, value))

        return _compiled(fill, [tf.TensorSpec(())])

    def set(self, values: Weights | None) -> None:
        """Copy values in; zeros if there are none."""
        if values is None:
            self._fill(np.float32(0))
        else:
            self._assign(*split(values, self._architecture).values())

    def get(self) -> Weights:
        """Copy the values out."""
        flat = np.empty(self._architecture.parameters, np.float32)
        for spec, variable in zip(self._architecture.manifest, self.variables, strict=True):
            # The buffer itself, where numpy() would copy it once more.
            flat[spec.where] = np.asarray(memoryview(variable.read_value())).ravel()
        return flat


def _compiled(function: Callable[..., Any], inputs: list[Any]) -> Callable[..., Any]:
    """Compile a function of arrays for inputs of these shapes and types.

    Each call would otherwise look up anew what its arguments' types mean. Its operations run one
    after the other: those that could run at the same time would only compete with the other
    clients' for cores and memory. TensorFlow has no public name for this.
    """
    import tensorflow as tf
    from tensorflow.python.eager.context import function_executor_type

    # All conditions are Python's: autograph would only read the source once more.
    compiled = tf.function(function, input_signature=inputs, autograph=False)
    in_order = partial(function_executor_type, "SINGLE_THREADED_EXECUTOR")
    with in_order():  # loops are compiled for what will run them
        concrete = compiled.get_concrete_function()

    def call(*arrays: NDArray[Any] | np.generic) -> Any:
        with in_order():
            return concrete(*map(tf.constant, arrays))

    return call


def _slots_of(settings: TrainingSettings) -> tuple[str, ...]:
    """Name what the optimiser remembers of each weight."""
    if settings.optimizer == "adam":
        return ("m", "v")
    return ("momentum",) if settings.momentum else ()
