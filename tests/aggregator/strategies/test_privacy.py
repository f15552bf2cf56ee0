"""Noise for a privacy budget: how much, how it is added, and what it refuses."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator.strategies import Update
from aggregator.strategies.privacy import Budget, PrivateMean, system_normal
from aggregator.strategies.settings import private_mean_of
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import architecture_of
from shared.errors import SettingsError
from shared.task import DEFAULT_TASK
from tests.edge_client.tiny import TINY

BUDGETS = [(8.0, 1e-5, 1), (8.0, 1e-5, 50), (3.0, 1e-5, 12), (0.5, 1e-6, 7), (100.0, 1e-3, 2)]


def closed_form(sigma: float, epsilon: float) -> float:
    """Give the delta of the Gaussian mechanism: Balle & Wang (2018), theorem 5."""
    from scipy.stats import norm

    a, b = 1 / (2 * sigma), epsilon * sigma
    return float(norm.cdf(a - b) - math.exp(epsilon) * norm.cdf(-a - b))


@pytest.mark.parametrize(("epsilon", "delta", "rounds"), BUDGETS)
def test_the_noise_is_that_of_the_closed_form(epsilon: float, delta: float, rounds: int) -> None:
    budget = Budget(epsilon, delta, rounds)
    sigma = budget.multiplier / math.sqrt(rounds)
    assert closed_form(sigma, epsilon) == pytest.approx(delta, rel=1e-6)
    assert closed_form(sigma * 0.99, epsilon) > delta, "less would be too little"


def test_another_accountant_says_the_same_of_all_rounds_together() -> None:
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant()
    event = dp_accounting.GaussianDpEvent(Budget(8.0, 1e-5, 10).multiplier)
    accountant.compose(event, 10)
    assert accountant.get_epsilon(1e-5) == pytest.approx(8.0, rel=0.01)


def test_what_is_spent_grows_to_the_budget() -> None:
    budget = Budget(8.0, 1e-5, 12)
    spent = [budget.spent(rounds) for rounds in range(13)]
    assert spent == sorted(set(spent))
    assert spent[0] == 0
    assert spent[12] == pytest.approx(8)


def test_noise_of_the_system_is_normal_and_never_the_same() -> None:
    from scipy.stats import kstest

    drawn = system_normal(20_001)
    assert drawn.shape == (20_001,)
    assert kstest(drawn, "norm").pvalue > 1e-6
    assert not np.array_equal(drawn, system_normal(20_001))
    assert abs(np.corrcoef(drawn[:10_000], drawn[10_000:20_000])[0, 1]) < 0.1


def updates(lengths: list[float]) -> list[Update]:
    rng = np.random.default_rng(0)
    found = []
    for number, length in enumerate(lengths):
        delta = rng.standard_normal(1000).astype(np.float32)
        delta *= np.float32(length / np.linalg.norm(delta))
        found.append(Update(f"client-{number}", 10**number, delta))
    return found


def quiet(count: int) -> NDArray[np.float64]:
    return np.zeros(count)


def test_updates_weigh_the_same_and_the_sum_is_divided_by_a_fixed_number() -> None:
    own = updates([0.5, 0.9])
    mean = PrivateMean(Budget(8, 1e-5, 1), 1.0, 10, 1000).mean(own, quiet)
    np.testing.assert_allclose(mean, (own[0].delta[:] + own[1].delta[:]) / 10, atol=1e-4)


def test_an_update_that_is_too_long_is_shortened_whatever_its_device_did() -> None:
    (long,) = updates([900.0])
    mean = PrivateMean(Budget(8, 1e-5, 1), 1.0, 1, 1000).mean([long], quiet)
    assert 0.99 < np.linalg.norm(mean) <= 1.001


def test_the_noise_has_its_size_and_leaves_alone_what_is_not_trained() -> None:
    private = PrivateMean(Budget(8, 1e-5, 4), 0.5, 10, 20_000, first=5_000)
    mean = private.mean([Update("a", 1, np.zeros(20_000, np.float32))])
    assert not mean[:5_000].any()
    expected = Budget(8, 1e-5, 4).multiplier * 0.5 / 10
    assert mean[5_000:].std() == pytest.approx(expected, rel=0.05)
    assert np.linalg.norm(mean) == pytest.approx(private.noise_over_clip * 0.5, rel=0.05)


def test_what_cannot_learn_is_refused_with_what_would() -> None:
    conv = architecture_of("conv", DEFAULT_TASK)
    settings = SimulationSettings.parse({"dp_epsilon": 8, "rounds": 50, "model": "conv"})
    private = private_mean_of(settings, 32, conv)
    assert private
    assert private.noise_over_clip == pytest.approx(179, abs=1)
    with pytest.raises(SettingsError, match="learn nothing") as refused:
        private.check_can_learn()
    assert "whisper-speech --model head" in refused.value.remedy
    assert "let at least 82 clients take part" in refused.value.remedy
    many = private_mean_of(settings, 82, conv)
    assert many
    many.check_can_learn()


def test_without_a_budget_there_is_no_noise() -> None:
    assert private_mean_of(SimulationSettings.parse({}), 4, TINY) is None


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused(epsilon: float) -> None:
    with pytest.raises(SettingsError, match="dp_epsilon"):
        SimulationSettings.parse({"dp_epsilon": epsilon})


@pytest.mark.parametrize("delta", [0, -1e-5, 1])
def test_a_delta_that_is_none_is_refused(delta: float) -> None:
    with pytest.raises(SettingsError, match="dp_delta"):
        SimulationSettings.parse({"dp_epsilon": 8, "dp_delta": delta})


def test_a_delta_without_an_epsilon_is_refused() -> None:
    with pytest.raises(SettingsError, match="dp_delta adds no noise by itself"):
        SimulationSettings.parse({"dp_delta": 1e-6})


@pytest.mark.parametrize("strategy", ["median", "krum", "scaffold"])
def test_strategies_that_need_single_updates_are_refused(strategy: str) -> None:
    settings = SimulationSettings.parse({"dp_epsilon": 8, "strategy": strategy})
    with pytest.raises(SettingsError, match="--dp-epsilon leaves only their sum"):
        private_mean_of(settings, 4, TINY)


def test_a_budget_without_a_sum_is_refused() -> None:
    with pytest.raises(SettingsError, match="not with baseline"):
        SimulationSettings.parse({"dp_epsilon": 8, "baseline": True})
