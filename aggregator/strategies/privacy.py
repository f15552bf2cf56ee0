"""Differential privacy of all models together, for all that one device sends.

Updates are at most ``clip_norm`` long and weigh the same; Gaussian noise is added to their sum,
which is divided by a number that does not depend on who took part. Two federations that differ in
one device then give nearly the same models, with the same probabilities but for a factor of
``exp(epsilon)`` and ``delta``. That some devices are left out of a round is not counted as
protection: who takes part is public.

The sums of all rounds are one Gaussian mechanism: with a noise of z times the sensitivity in each
of T rounds, that of z / sqrt(T) (Dong et al., 2022: https://arxiv.org/abs/1905.02383). How much
noise that needs is known exactly (Balle & Wang, 2018: https://arxiv.org/abs/1805.06530).
"""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.arithmetic import WeightedSum
from aggregator.strategies.update import Update
from shared.errors import MissingPartError, SettingsError
from shared.weights import Weights, norm, pieces, shortening

DROWNED: Final = 10.0
"""How many times longer the noise of all rounds may be than what all updates could add up to."""

_GAUSSIAN: Final = "gaussian_mechanism"

_GRID: Final = 1024
"""The result is rounded to a power of two below the noise divided by this."""

Normal = Callable[[int], NDArray[np.float64]]
"""Gives so many independent values of the standard normal distribution."""


def system_normal(count: int) -> NDArray[np.float64]:
    """Draw normal values from the system's entropy (Box & Muller, 1958).

    Returns
    -------
    numpy.ndarray
        Shape ``(count,)``, float64.
    """
    half = -(-count // 2)
    words = np.frombuffer(os.urandom(16 * half), "<u8").reshape(2, half) >> 11
    uniform = (words + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
    drawn = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return np.asarray(drawn[:count], np.float64)


@dataclass(frozen=True, slots=True)
class Budget:
    """What the models of all rounds together may tell of one device.

    Attributes
    ----------
    epsilon, delta
        As the definition has them.
    rounds
        Rounds that it is for.
    """

    epsilon: float
    delta: float
    rounds: int

    @property
    def multiplier(self) -> float:
        """Deviation of a round's noise, as a multiple of the largest norm of an update."""
        return _sigma(self.epsilon, self.delta) * math.sqrt(self.rounds)

    def spent(self, rounds: int) -> float:
        """Give the epsilon that so many rounds have cost, at the same delta."""
        if not rounds:
            return 0.0
        sigma = self.multiplier / math.sqrt(rounds)
        return float(accountant(_GAUSSIAN).get_epsilon_gaussian(sigma, self.delta))


@cache  # asked for after each round, and takes a twentieth of a second
def _sigma(epsilon: float, delta: float) -> float:
    """Give the noise that all rounds as one take, as a multiple of the largest norm."""
    return float(accountant(_GAUSSIAN).get_sigma_gaussian(epsilon, delta))


class Private:
    """What a federation with a privacy budget trains, and how much noise that takes.

    Parameters
    ----------
    budget
        For all rounds.
    clip_norm
        The Euclidean norm of an update, at most.
    clients
        What the sum is divided by.
    parameters
        Length of the vectors.
    first
        Where what is trained begins in them; what lies before it does not change.

    Attributes
    ----------
    budget, clients
        As given.
    """

    def __init__(
        self, budget: Budget, clip_norm: float, clients: int, parameters: int, first: int = 0
    ) -> None:
        self.budget = budget
        self.clients = clients
        self._clip_norm = clip_norm
        self._trained = slice(first, parameters)
        self._multiplier = budget.multiplier

    @property
    def deviation(self) -> float:
        """Deviation of the noise in a round's sum, over the norm of an update at most."""
        return self._multiplier

    @property
    def noise_over_clip(self) -> float:
        """Expected norm of a round's noise over that of the mean of updates, at most."""
        trained = self._trained.stop - self._trained.start
        return self.deviation * math.sqrt(trained) / self.clients

    @property
    def said(self) -> str:
        """What the noise does, in a sentence."""
        return (
            f"Differential privacy: epsilon {self.budget.epsilon:g}, delta {self.budget.delta:g} "
            f"for {self.budget.rounds} rounds of {self.clients} clients. In each round the noise "
            f"is {self.noise_over_clip:.3g} times as long as an update may be "
            f"({self._clip_norm:g})."
        )

    def check_can_learn(self) -> None:
        """Raise :class:`SettingsError` if nothing can be learned through so much noise.

        What rounds add in the same direction grows as their number, noise as its root.
        """
        drowned = self.noise_over_clip / math.sqrt(self.budget.rounds)
        if drowned > DROWNED:
            trained = self._trained.stop - self._trained.start
            enough = math.ceil(self.clients * drowned / DROWNED)
            raise SettingsError(
                f"{self.said} Over all rounds it is {drowned:.3g} times as long as all that "
                f"{self.clients} clients can teach {trained} weights, which learn nothing then.",
                "Train fewer weights (--front-end whisper-speech --model head has 6,148), let at "
                f"least {enough} clients take part in a round, or give a larger --dp-epsilon.",
            )


class PrivateMean(Private):
    """Averages the updates of a round, with noise; an update that is too long is shortened."""

    def mean(self, updates: Iterable[Update], normal: Normal = system_normal) -> Weights:
        """Average updates, each with the same weight, and add the noise.

        Parameters
        ----------
        updates
            Of a round, each client once; read one after the other.
        normal
            Where the noise comes from; others than the system's entropy are for tests.

        Returns
        -------
        numpy.ndarray
            Shape ``(parameters,)``, float32.
        """
        total = WeightedSum()
        for update in updates:
            length = norm(update.delta)
            delta = update.delta
            if not length <= self._clip_norm:
                delta = update.delta[:] * shortening(length, self._clip_norm)
            total.add(delta)
            del update, delta  # or its vector would live until the next one is there
        direction = total.divided(self.clients)
        direction[: self._trained.start] = 0
        deviation = self.deviation * self._clip_norm / self.clients
        # The last bits of a sum with noise tell of the sum (Mironov, 2012,
        # https://doi.org/10.1145/2382196.2382264): they are rounded away.
        grid = 2.0 ** math.floor(math.log2(deviation / _GRID))
        for piece in pieces(self._trained):
            noised = direction[piece] + deviation * normal(piece.stop - piece.start)
            direction[piece] = np.round(noised / grid) * grid
        return direction


def accountant(name: str) -> ModuleType:
    """Import what accounts for a budget, a module of ``dp_accounting``: it takes seconds.

    Raises
    ------
    MissingPartError
        If it is not installed.
    """
    try:
        return import_module(f"dp_accounting.{name}")
    except ImportError as error:
        raise MissingPartError(
            "Differential privacy needs dp-accounting, which is not installed.",
            "Install it with: pip install 'chorus-edge[server]' (or [workstation]).",
        ) from error
