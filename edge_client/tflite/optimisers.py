"""Optimisers as Keras defines them, in place, over pieces that stay in the processor's cache."""

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import TrainingError
from shared.training import TrainingSettings
from shared.weights import Weights

IN_CACHE: Final = 1 << 17
"""Values handled at once: what is in between stays in the cache, and threads seldom meet."""

_BETA_1: Final = 0.9
_BETA_2: Final = 0.999
_EPSILON: Final = 1e-7


class Optimiser(Protocol):
    """Takes steps; its slots are as long as the part of the weights that is trained."""

    slots: dict[str, Weights]

    def begin_step(self, step: int) -> None:
        """Prepare the ``step``-th step, counted from one."""
        ...

    def update(
        self, weights: Weights, gradient: Weights, where: slice, spare: NDArray[np.float32]
    ) -> None:
        """Change a piece of the weights in place.

        Parameters
        ----------
        weights, gradient
            The piece, at most ``IN_CACHE`` values.
        where
            Its place in the slots.
        spare
            What :func:`room` gave. Calls from several threads may run at once, with a room and a
            piece each.
        """
        ...


def room() -> NDArray[np.float32]:
    """Set aside memory for what is in between: two rows, a little longer than a piece.

    Where one operand ends at the byte at which the other begins, NumPy 1 takes them to overlap, and
    divides value by value, seven times slower.
    """
    return np.empty((2, IN_CACHE + 16), np.float32)


def make_optimiser(
    settings: TrainingSettings, size: int, slots: Mapping[str, Weights] | None = None
) -> Optimiser:
    """Make the settings' optimiser.

    Parameters
    ----------
    settings
        Which, and its rates.
    size
        Number of weights that are trained.
    slots
        What an earlier run left, copied; zeros if not given.

    Raises
    ------
    TrainingError
        If the slots are not this optimiser's, or of another size.
    """
    names = {"adam": ("m", "v"), "sgd": ("momentum",) if settings.momentum else ()}
    own = {name: np.zeros(size, np.float32) for name in names[settings.optimizer]}
    if slots:
        shapes = {name: slot.shape for name, slot in slots.items()}
        if shapes != {name: slot.shape for name, slot in own.items()}:
            raise TrainingError(
                "The optimiser's state belongs to a training with other settings.",
                "Start the training anew.",
            )
        for name, slot in own.items():
            slot[:] = slots[name]
    return _Adam(settings, own) if settings.optimizer == "adam" else _SGD(settings, own)


class _Adam:
    """Adam (Kingma & Ba, 2015), with Keras' epsilon and float32 powers of beta."""

    def __init__(self, settings: TrainingSettings, slots: dict[str, Weights]) -> None:
        self.slots = slots
        self._rate = np.float32(settings.learning_rate)
        self._alpha = self._rate

    def begin_step(self, step: int) -> None:
        """Compute the step's rate from the powers of beta."""
        one, t = np.float32(1), np.float32(step)
        power_1, power_2 = np.float32(_BETA_1) ** t, np.float32(_BETA_2) ** t
        self._alpha = self._rate * np.sqrt(one - power_2) / (one - power_1)

    def update(
        self, weights: Weights, gradient: Weights, where: slice, spare: NDArray[np.float32]
    ) -> None:
        """``m += (g - m)(1 - b1)``, ``v += (g^2 - v)(1 - b2)``, ``w -= m alpha / (sqrt v + e)``."""
        m, v = self.slots["m"][where], self.slots["v"][where]
        change, root = spare[:, : len(gradient)]
        np.subtract(gradient, m, out=change)
        change *= 1 - _BETA_1
        m += change
        np.multiply(gradient, gradient, out=change)
        change -= v
        change *= 1 - _BETA_2
        v += change
        np.sqrt(v, out=root)
        root += _EPSILON
        np.multiply(m, self._alpha, out=change)
        change /= root
        weights -= change


class _SGD:
    """Gradient descent, with the momentum of Keras (Sutskever et al., 2013)."""

    def __init__(self, settings: TrainingSettings, slots: dict[str, Weights]) -> None:
        self.slots = slots
        self._rate = np.float32(settings.learning_rate)
        self._momentum = np.float32(settings.momentum)

    def begin_step(self, step: int) -> None:
        """Do nothing: each step is alike."""

    def update(
        self, weights: Weights, gradient: Weights, where: slice, spare: NDArray[np.float32]
    ) -> None:
        """``w -= rate g``; with momentum ``a = momentum a - rate g`` and ``w += a``."""
        change = np.multiply(gradient, self._rate, out=spare[0, : len(gradient)])
        if not self.slots:
            weights -= change
            return
        moving = self.slots["momentum"][where]
        moving *= self._momentum
        moving -= change
        weights += moving
