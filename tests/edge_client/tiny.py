"""A model so small that tests of everything around it are fast, and examples for it.

:class:`NumpyEngine` is written from the definitions, without automatic differentiation: it is what
other engines are compared with, too.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import OptimizerState
from edge_client.simulation.utterances import Utterances
from shared.architectures import Architecture
from shared.layers import HEAD, Dense
from shared.metrics import softmax
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, split

TINY = Architecture("conv", (Dense("dense1", 3), Dense(HEAD, 4), Dense("logits", 4, hidden=False)))
"""It goes by the name of a real one, so that it can stand in its place."""


def examples(count: int, seed: int = 0, different: int = 4) -> Examples:
    """Make examples that a model can learn: the label, of so many, shows in the first features."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % different).astype(np.int32)
    features = rng.standard_normal((count, 100, 34), np.float32)
    features[np.arange(count), :, labels] += 1
    frames = rng.integers(20, 101, count).astype(np.int32)
    features *= np.arange(100)[:, None] < frames[:, None, None]
    return Examples(features, frames, labels)


def utterances(speakers: int, each: int, seed: int = 0) -> Utterances:
    """Make utterances of some speakers, each with ``each`` of them."""
    names = np.repeat([f"tiny {number:02}" for number in range(speakers)], each)
    return Utterances(examples(speakers * each, seed), names, ())


class NumpyEngine:
    """Trains :data:`TINY` with gradients worked out by hand; dropout is left out.

    Parameters
    ----------
    architecture
        The same for another task, perhaps.
    """

    def __init__(self, architecture: Architecture = TINY) -> None:
        self.architecture = architecture
        self._weights = np.empty(0, np.float32)
        self._anchor: Weights = self._weights
        self._correction: Weights | None = None
        self._settings = TrainingSettings()
        self._state = OptimizerState()
        self.seeds: list[int] = []
        """The dropout seeds of all steps."""

    def begin(
        self,
        weights: Weights,
        settings: TrainingSettings,
        *,
        anchor: Weights,
        correction: Weights | None = None,
        optimizer: OptimizerState | None = None,
    ) -> None:
        """Take over weights and optimiser state."""
        self._weights, self._anchor, self._correction = weights.copy(), anchor.copy(), correction
        self._settings = settings
        state = optimizer or OptimizerState()
        names = ("m", "v") if settings.optimizer == "adam" else ("momentum",)
        zero = np.zeros_like(weights)
        slots = {name: state.slots.get(name, zero).copy() for name in names}
        self._state = replace(state, slots=slots)

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        """Take one step."""
        assert len(frames) == len(labels)
        self.seeds.append(seed)
        loss, gradient = loss_and_gradient(self._weights, features, labels, self.architecture)
        settings, slots = self._settings, self._state.slots
        if settings.proximal:
            gradient += settings.proximal * (self._weights - self._anchor)
        if self._correction is not None:
            gradient += self._correction
        count = self._state.step + 1
        if settings.optimizer == "adam":
            # Kingma & Ba (2015), section 2, in its efficient form.
            slots["m"] = np.float32(0.9) * slots["m"] + np.float32(0.1) * gradient
            slots["v"] = np.float32(0.999) * slots["v"] + np.float32(0.001) * gradient**2
            rate = settings.learning_rate * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            change = -np.float32(rate) * slots["m"] / (np.sqrt(slots["v"]) + np.float32(1e-7))
        else:
            old = np.float32(settings.momentum) * slots["momentum"]
            change = slots["momentum"] = old - np.float32(settings.learning_rate) * gradient
        first = self.architecture.head_offset if settings.head_only else 0
        self._weights[first:] += change[first:]
        self._state = OptimizerState(count, slots)
        return loss

    def release(self) -> None:
        """Keep the little there is."""

    def weights(self) -> Weights:
        """Copy out the weights."""
        return self._weights.copy()

    def optimizer(self) -> OptimizerState:
        """Copy out the optimiser's state."""
        slots = {name: slot.copy() for name, slot in self._state.slots.items()}
        return replace(self._state, slots=slots)

    def logits(
        self, weights: Weights, features: NDArray[np.float32], frames: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Compute logits."""
        assert len(frames) == len(features)
        return activations(weights, features, self.architecture)[-1]


def activations(
    weights: Weights, features: NDArray[np.float32], architecture: Architecture = TINY
) -> list[NDArray[np.float32]]:
    """Compute the input, the hidden layers and the logits."""
    tensors = split(weights, architecture)
    values = [features.reshape(len(features), -1)]
    for layer in architecture.layers:
        value = values[-1] @ tensors[f"{layer.name}/kernel"] + tensors[f"{layer.name}/bias"]
        values.append(value if layer.name == "logits" else np.maximum(value, 0))
    return values


def loss_and_gradient(
    weights: Weights,
    features: NDArray[np.float32],
    labels: NDArray[np.int32],
    architecture: Architecture = TINY,
) -> tuple[float, Weights]:
    """Compute the mean cross-entropy and its gradient by the chain rule."""
    values = activations(weights, features, architecture)
    rows, count = np.arange(len(labels)), np.float32(len(labels))
    probabilities = softmax(values[-1])
    gradient = np.zeros_like(weights)
    parts, tensors = split(gradient, architecture), split(weights, architecture)
    error = probabilities.copy()
    error[rows, labels] -= 1
    error /= count
    for number in reversed(range(len(architecture.layers))):
        name = architecture.layers[number].name
        parts[f"{name}/kernel"][:] = values[number].T @ error
        parts[f"{name}/bias"][:] = error.sum(0)
        error = (error @ tensors[f"{name}/kernel"].T) * (values[number] > 0)
    return float(-np.log(probabilities[rows, labels]).mean()), gradient
