"""Federations with a privacy budget."""

import secrets
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.start_checks import check_can_start
from shared.errors import SettingsError
from shared.secure.sharing import Draw
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


def private_and_secure(draw: Draw = secrets.token_bytes, **values: Any) -> SecureFederation:
    given = {"dp_epsilon": 1000, "clip_norm": 0.05, "ring_bits": 16, "secure": True, **values}
    return SecureFederation(simulation(**given), [NumpyEngine()], CLIENTS, draw=draw)


def test_clients_add_noise_of_the_same_law_as_the_server_does() -> None:
    from scipy.stats import kstest

    def step(federation: SimulatedFederation) -> NDArray[np.float64]:
        return np.asarray(federation.run(1, START).weights - START, np.float64)

    values: dict[str, Any] = {"dp_epsilon": 20, "clip_norm": 1e-6}  # as good as nothing is learned
    central, shared = step(private(None, **values)), private_and_secure(**values)
    found = step(shared)
    assert shared._noise
    # More than half of four are guaranteed: the noise of three would be enough.
    assert found.std() == pytest.approx(shared._noise.deviation * 1e-6 / 4, rel=0.05)
    assert found.std() == pytest.approx(central.std() * np.sqrt(4 / 3), rel=0.2)
    assert kstest(found / found.std(), "norm").pvalue > 1e-6


def test_without_their_noise_the_sum_is_that_of_plain_rounds() -> None:
    def nothing(size: int) -> bytes:
        return b"\0\0\0\0\0\0\0\x80" * (size // 8)  # in the middle of all there is

    def quiet(count: int) -> NDArray[np.float64]:
        return np.zeros(count)

    secure = private_and_secure(nothing)
    settings = simulation(dp_epsilon=1000, clip_norm=0.05)
    plain = SimulatedFederation(settings, [NumpyEngine()], CLIENTS, normal=quiet)
    found, same = secure.run(1, START).weights - START, plain.run(1, START).weights - START
    assert np.linalg.norm(found - same) < 0.1 * np.linalg.norm(same)
    assert np.isnan(secure.run(2, START).loss), "the mean loss would tell of one client"


@pytest.mark.parametrize("codec", ["none", "float16", "int8"])
def test_a_round_of_fewer_than_are_guaranteed_is_given_up_and_publishes_nothing(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, begun = private_and_secure(download_codec=codec), START.copy()
    answering = [0, 1, 2]
    monkeypatch.setattr(rounds, "_answering", lambda *_: answering)
    first = rounds.run(1, begun)
    reached = first.weights
    assert reached.tobytes() != START.tobytes()
    kept, state = reached.copy(), rounds.state()
    assert codec == "none" or "download_residual" in state, "what was lost waits for the next"
    answering.pop()
    outcome = rounds.run(2, reached)
    assert outcome.weights.tobytes() == reached.tobytes() == kept.tobytes()
    assert {*rounds.state()} == {*state}
    assert all(array.tobytes() == state[name].tobytes() for name, array in rounds.state().items())
    assert outcome.clients == 0, "nobody's update counted"
    assert np.isnan(outcome.loss)
    assert outcome.bytes_up == first.bytes_up * 2 / 3, "two had sent theirs"
    assert begun.tobytes() == START.tobytes()


def test_a_ring_without_room_for_noise_is_refused_before_the_first_round() -> None:
    settings = simulation(dp_epsilon=1000, partition="speaker", folds=4, secure=True)
    with pytest.raises(SettingsError, match="too coarse for noise"):
        check_can_start(settings, utterances(8, 4))
