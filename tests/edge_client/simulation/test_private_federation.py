"""Federations with a privacy budget."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.start_checks import check_can_start
from shared.errors import SettingsError
from tests.edge_client.simulation.test_federation import CLIENTS, START, run, simulation
from tests.edge_client.tiny import NumpyEngine, utterances


def private(seed: int | None = 0, **values: Any) -> SimulatedFederation:
    """Make a federation whose noise comes from a seed; without one it is the system's."""
    settings = simulation(**{"dp_epsilon": 8, **values})
    engines = [NumpyEngine(), NumpyEngine()]
    if seed is None:
        return SimulatedFederation(settings, engines, CLIENTS)
    normal = np.random.default_rng(seed).standard_normal
    return SimulatedFederation(settings, engines, CLIENTS, normal=normal)


def test_the_noise_of_a_seed_is_reproduced_and_that_of_the_system_is_not() -> None:
    first, again = run(private(), range(1, 3)), run(private(), range(1, 3))
    np.testing.assert_array_equal(first[-1].weights, again[-1].weights)
    one, other = (run(private(None), range(1, 2))[0].weights for _ in range(2))
    assert not np.array_equal(one, other)


def test_with_a_budget_that_costs_nothing_clients_are_averaged_alike() -> None:
    generous = run(private(dp_epsilon=1000, clip_norm=0.01), range(1, 2))[0]
    step = generous.weights - START
    assert 0.005 < np.linalg.norm(step) < 0.02, "four updates of at most 0.01"


def test_one_device_changes_the_sum_by_its_clip_at_most() -> None:
    def quiet(count: int) -> NDArray[np.float64]:
        return np.zeros(count)

    settings = simulation(dp_epsilon=8, clip_norm=0.05, clients_per_round=4)
    whole = SimulatedFederation(settings, [NumpyEngine()], CLIENTS, normal=quiet).run(1, START)
    absent = SimulatedFederation(settings, [NumpyEngine()], CLIENTS[:-1], normal=quiet)
    without = absent.run(1, START)
    assert absent._private
    # The number that sums are divided by is what was asked for, whoever is there.
    assert np.linalg.norm(whole.weights - without.weights) <= 0.05 / 4 * 1.01


def test_what_would_drown_is_refused_before_the_first_round() -> None:
    settings = simulation(dp_epsilon=0.01, partition="speaker", folds=4)
    with pytest.raises(SettingsError, match="learn nothing"):
        check_can_start(settings, utterances(8, 4))
