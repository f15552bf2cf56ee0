"""How much noise the devices of secure rounds add, and what is refused."""

import math

import numpy as np
import pytest

from aggregator.strategies.privacy import Budget
from aggregator.strategies.ring_sum import read_private_sum
from aggregator.strategies.settings import shared_noise_of
from aggregator.strategies.shared_noise import ConcentratedBudget, SharedNoise
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import architecture_of
from shared.codecs.ring import Ring
from shared.errors import SettingsError
from shared.task import DEFAULT_TASK
from tests.aggregator.strategies.test_privacy import BUDGETS
from tests.edge_client.tiny import TINY


def closed_form(concentrated: float, delta: float) -> float:
    """Give epsilon: Canonne, Kamath & Steinke (2020), proposition 12."""

    from scipy.optimize import minimize_scalar

    def epsilon(log: float) -> float:
        order = 1 + math.exp(log)
        own = order * concentrated + math.log1p(-1 / order)
        return own - math.log(delta * order) / (order - 1)

    return float(minimize_scalar(epsilon, bounds=(-6, 12), method="bounded").fun)


@pytest.mark.parametrize(("epsilon", "delta", "rounds"), BUDGETS)
def test_the_noise_is_that_of_the_closed_form(epsilon: float, delta: float, rounds: int) -> None:
    multiplier = ConcentratedBudget(epsilon, delta, rounds).multiplier
    assert closed_form(rounds / (2 * multiplier**2), delta) == pytest.approx(epsilon, rel=1e-3)
    gaussian = Budget(epsilon, delta, rounds).multiplier
    assert gaussian < multiplier < 1.25 * gaussian, "discrete noise costs a little more"


def test_what_is_spent_grows_to_the_budget() -> None:
    budget = ConcentratedBudget(8.0, 1e-5, 12)
    spent = [budget.spent(rounds) for rounds in range(13)]
    assert spent == sorted(set(spent))
    assert spent[0] == 0
    assert spent[12] == pytest.approx(8)
    assert spent[12] <= 8


def noise(**values: object) -> SharedNoise:
    given = {"dp_epsilon": 8, "rounds": 50, "secure": True, **values}
    found = shared_noise_of(SimulationSettings.parse(given), 30, TINY)
    assert found
    return found


@pytest.mark.parametrize("clip_norm", [0.01, 0.5, 0.7, 1, 3])
def test_noise_is_a_multiple_of_the_longest_update(clip_norm: float) -> None:
    shared = noise(clip_norm=clip_norm)
    assert 2.0 ** (shared.octave - 1) < clip_norm <= 2.0**shared.octave
    assert shared.noise * 2.0**shared.octave / clip_norm == pytest.approx(shared.budget.multiplier)


def test_more_noise_than_is_needed_is_said_as_it_is() -> None:
    shared = noise()
    # 16 of 30 are guaranteed, and 30 shares are added.
    assert shared.deviation == pytest.approx(shared.budget.multiplier * math.sqrt(30 / 16))
    expected = shared.deviation * math.sqrt(TINY.parameters) / 30
    assert shared.noise_over_clip == pytest.approx(expected)


def test_a_sum_is_divided_by_a_fixed_number_and_tells_nothing_else() -> None:
    ring = noise().ring(16, 30, TINY)
    total = np.full(TINY.parameters, ring.levels, np.uint32)
    found = read_private_sum(total, 30, ring, TINY)
    np.testing.assert_allclose(found.direction, 2.0 ** ring.octaves[0] / 30, rtol=1e-6)
    assert math.isnan(found.loss)
    assert not found.confusion.any()


@pytest.mark.parametrize(
    ("bits", "clients", "epsilon", "said"),
    [
        (16, 30, 8, ""),
        (8, 30, 1, "would overflow: the sum of 30 clients with their noise does not fit"),
        (9, 30, 8, "too coarse for noise"),
        (13, 3, 1000, ""),
    ],
)
def test_a_ring_without_room_is_refused_before_anything_begins(
    bits: int, clients: int, epsilon: float, said: str
) -> None:
    shared = noise(dp_epsilon=epsilon)
    if not said:
        shared.check_ring(bits, clients)
        return
    with pytest.raises(SettingsError, match=said):
        shared.check_ring(bits, clients)


def test_what_cannot_learn_is_refused() -> None:
    conv = architecture_of("conv", DEFAULT_TASK)
    given = {"dp_epsilon": 8, "rounds": 50, "model": "conv", "secure": True}
    shared = shared_noise_of(SimulationSettings.parse(given), 32, conv)
    assert shared
    with pytest.raises(SettingsError, match="learn nothing"):
        shared.check_can_learn()


def test_noise_that_is_too_small_for_the_theorem_is_refused() -> None:
    shared = SharedNoise(ConcentratedBudget(1000, 1e-5, 1), 1.0, 30, 4)
    with pytest.raises(SettingsError, match="too coarse for noise"):
        shared.check_ring(9, 30)
    assert Ring(9, 30, 1, (0,), shared.noise).levels ** 2 >= 4, "the steps alone would do"
