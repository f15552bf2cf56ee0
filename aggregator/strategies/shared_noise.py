"""Differential privacy of the sums of secure rounds: noise that the devices add themselves.

Each client adds discrete Gaussian noise to its numbers before they are masked
(``edge_client/learning/shared_noise.py``), so the aggregator sees no sum without it. How many
clients' shares are in the sum is not known beforehand: each is large enough that those of the
clients that are guaranteed are enough, the more than half of the round that it needs.

A client's d numbers are D long at most. What their sum with n discrete Gaussians of deviation s
each tells of it is bounded by ``e**2 / 2``-concentrated privacy with ``e = D / (sqrt(n) * s) +
t * sqrt(d)`` and ``t = 10 * sum(exp(-2 * pi**2 * s**2 * k / (k + 1)) for k in 1 .. n - 1)``
(Kairouz, Liu & Steinke, 2021: https://arxiv.org/abs/2102.06387). Here s is three or more, so t is
less than ``1e-35``, and e is that of one Gaussian. Rounds add up their ``e**2 / 2``.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from aggregator.strategies.privacy import Budget, Private, accountant
from shared.architectures import Architecture
from shared.codecs.ring import Ring
from shared.errors import SettingsError
from shared.secure.terms import FEWEST_DEVICES, needed_of

_RENYI: Final = "rdp.rdp_privacy_accountant"

_ORDERS: Final = 1 + np.geomspace(0.02, 1e5, 1000)

_LEAST_DEVIATION: Final = 3.0
"""Of a client's noise, in its numbers' steps: from here on their sum is as one Gaussian."""

_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class ConcentratedBudget(Budget):
    """A budget for discrete noise, whose rounds are added up as concentrated privacy is."""

    @property
    def multiplier(self) -> float:
        """See :class:`Budget`: the least noise that keeps within epsilon."""
        return _least(self)

    def spent(self, rounds: int) -> float:
        """See :class:`Budget`."""
        return self.with_noise(rounds, self.multiplier) if rounds else 0.0

    def with_noise(self, rounds: int, multiplier: float) -> float:
        """Give the epsilon that so many rounds cost with such noise, at the same delta."""
        concentrated = rounds / (2 * multiplier**2)
        epsilon, _ = accountant(_RENYI).compute_epsilon(_ORDERS, _ORDERS * concentrated, self.delta)
        return float(epsilon)


@cache  # asked for after each round, and takes a tenth of a second
def _least(budget: ConcentratedBudget) -> float:
    low, high = 0.0, 1.0
    while budget.with_noise(budget.rounds, high) > budget.epsilon:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = budget.with_noise(budget.rounds, middle) <= budget.epsilon
        low, high = (low, middle) if enough else (middle, high)
    return high


class SharedNoise(Private):
    """Says how much noise the devices of secure rounds add, and in which ring.

    Parameters
    ----------
    budget, clip_norm, clients, parameters, first
        As in :class:`Private`.
    at_least
        Fewest clients in a sum, whatever the number that takes part.

    Attributes
    ----------
    octave
        The power of two that a value may reach: the same in all tensors.
    noise
        Deviation of the noise in a sum of those who are guaranteed, as a multiple of that.
    """

    def __init__(
        self,
        budget: ConcentratedBudget,
        clip_norm: float,
        clients: int,
        parameters: int,
        first: int = 0,
        at_least: int = FEWEST_DEVICES,
    ) -> None:
        super().__init__(budget, clip_norm, clients, parameters, first)
        self._at_least = at_least
        self.octave = math.ceil(math.log2(clip_norm))
        self.noise = self._multiplier * clip_norm / 2.0**self.octave

    @property
    def deviation(self) -> float:
        """Deviation of the noise in a sum of all clients, over the norm of an update at most."""
        return self._multiplier * math.sqrt(self.clients / needed_of(self.clients, self._at_least))

    @property
    def first(self) -> int:
        """Where what is trained begins."""
        return self._trained.start

    def ring(self, bits: int, clients: int, architecture: Architecture) -> Ring:
        """Make the ring of a round of so many clients; raise :class:`SettingsError`: too small."""
        return Ring(bits, clients, 1, self.octaves(architecture), self.noise)

    def octaves(self, architecture: Architecture) -> tuple[int, ...]:
        """Give the power of two that a value may reach, for each tensor."""
        return (self.octave,) * len(architecture.manifest)

    def check_ring(self, bits: int, clients: int) -> None:
        """Check that a round of so many clients can be private in a ring of so many bits.

        Raises
        ------
        SettingsError
            If the sum with its noise does not fit; or if the ring's steps are so coarse that the
            numbers of a client would be longer for their rounding than for what it learned, or its
            noise too small for what is known of sums.
        """
        ring = Ring(bits, clients, 1, (self.octave,), self.noise)
        trained = self._trained.stop - self._trained.start
        steps = ring.levels * self._clip_norm / 2.0**self.octave
        share = self.noise * ring.levels / math.sqrt(needed_of(clients, self._at_least))
        if steps**2 < trained or share < _LEAST_DEVIATION:
            raise SettingsError(
                f"A ring of {bits} bits is too coarse for noise: an update of {clients} clients "
                f"would have {steps:.3g} steps, and the noise of one a deviation of {share:.3g}; "
                f"{trained} weights need {math.sqrt(trained):.3g} and {_LEAST_DEVIATION:g}.",
                "Give more --ring-bits, up to 16, or train fewer weights.",
            )
