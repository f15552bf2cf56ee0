"""An audit of differential privacy: what an attack finds of a canary, against what is claimed.

A canary is a device with an utterance that no other teaches, whose update is as long as it may be.
Federations of real client rounds are released many times, half of them with the canary. The
attacker knows all updates, sees the models of all rounds, and says whether the canary was there
(Nasr et al., 2021, https://arxiv.org/abs/2101.04535). From how often it is wrong follows the least
epsilon that a mechanism with such errors can have (Kairouz et al., 2015,
https://arxiv.org/abs/1311.0776), with 95 % confidence by the bounds of Clopper &
Pearson (1934).
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator.strategies import Update
from aggregator.strategies.privacy import Budget, Normal, PrivateMean, system_normal
from edge_client.simulation.federation import SimulatedFederation
from shared.training import Examples
from shared.weights import norm
from tests.edge_client.simulation.test_federation import CLIENTS, START, simulation
from tests.edge_client.tiny import TINY, NumpyEngine

CLAIMED = Budget(epsilon=2.0, delta=1e-5, rounds=4)
CLIP_NORM = 0.05
TRIALS = 250
"""With the canary, and as many without."""


def canary() -> Examples:
    """Make the utterance that gives it away."""
    noise = np.random.default_rng(0).standard_normal((1, 100, 34), np.float32)
    return Examples(5 * noise, np.array([100], np.int32), np.array([3], np.int32))


def silent(count: int) -> NDArray[np.float64]:
    return np.zeros(count)


def fainter(count: int) -> NDArray[np.float64]:
    """Give an eighth of the noise that was promised."""
    return system_normal(count) / 8


@dataclass(frozen=True)
class Errors:
    """How often the attacker was wrong, of so many trials each."""

    missed: int
    imagined: int

    @property
    def least_epsilon(self) -> float:
        """The epsilon that a mechanism with such errors has at least, with 95 % confidence."""
        from scipy.stats import beta

        missed, imagined = (
            float(beta.ppf(0.975, wrong + 1, TRIALS - wrong)) if wrong < TRIALS else 1.0
            for wrong in (self.missed, self.imagined)
        )
        ratios = [
            (1 - CLAIMED.delta - one) / other
            for one, other in ((missed, imagined), (imagined, missed))
        ]
        return max(0.0, *(math.log(max(ratio, 1e-9)) for ratio in ratios))


@pytest.fixture(scope="module")
def updates() -> list[Update]:
    """Let all devices train and shorten their updates; that of the canary is the last."""
    settings = simulation(clip_norm=CLIP_NORM, learning_rate=0.01)
    clients = [*CLIENTS, canary()]
    federation = SimulatedFederation(settings, [NumpyEngine()], clients)
    found = list(federation._updates(1, START, list(range(len(clients))), {}))
    assert CLIP_NORM * 0.99 < norm(found[-1].delta) <= CLIP_NORM
    return found


def attack(updates: list[Update], normal: Normal) -> Errors:
    """Release the rounds again and again; count the attacker's errors."""
    mechanism = PrivateMean(CLAIMED, CLIP_NORM, len(updates), TINY.parameters)
    along = updates[-1].delta[:].astype(np.float64)

    def seen(there: list[Update], normal: Normal, rounds: int) -> float:
        return float(np.mean([mechanism.mean(there, normal) @ along for _ in range(rounds)]))

    # With no noise it is the same in each round.
    absent, present = (seen(there, silent, 1) for there in (updates[:-1], updates))
    middle = (absent + present) / 2
    rounds = 1 if normal is silent else CLAIMED.rounds
    return Errors(
        missed=sum(seen(updates, normal, rounds) < middle for _ in range(TRIALS)),
        imagined=sum(seen(updates[:-1], normal, rounds) >= middle for _ in range(TRIALS)),
    )


def test_without_noise_the_canary_is_found(updates: list[Update]) -> None:
    found = attack(updates, silent)
    assert found == Errors(missed=0, imagined=0)
    assert found.least_epsilon > 2 * CLAIMED.epsilon


def test_with_noise_the_attack_stays_below_the_claimed_epsilon(updates: list[Update]) -> None:
    found = attack(updates, system_normal)
    assert found.missed > 0
    assert found.imagined > 0
    assert found.least_epsilon < CLAIMED.epsilon


def test_too_little_noise_is_noticed(updates: list[Update]) -> None:
    assert attack(updates, fainter).least_epsilon > CLAIMED.epsilon
