import numpy as np
import pytest

from aggregator.strategies import Update
from aggregator.strategies.bounds import Bounds
from aggregator.strategies.scaffold import Scaffold
from edge_client.learning.training import control_change
from shared.errors import TrainingError
from tests.aggregator.strategies.updates import updates, vector


def update(client: str, delta: float, control: float, examples: int = 1) -> Update:
    return Update(client, examples, vector(delta), vector(control))


def test_two_rounds() -> None:
    strategy = Scaffold(clients=4, server_learning_rate=0.5)
    assert strategy.broadcast() == {}
    first = strategy.aggregate(vector(10), [update("a", 2, 4, 900), update("b", 6, -8)])
    assert first.tolist() == [12], "the mean takes no weights"
    sent = strategy.broadcast()["control"]
    assert sent.tolist() == [-1]  # 2 / 4 * mean(4, -8)
    second = strategy.aggregate(first, [update("c", -4, 6)])
    assert second.tolist() == [10]
    assert strategy.broadcast()["control"].tolist() == [0.5]  # -1 + 1 / 4 * 6
    assert sent.tolist() == [-1], "what was broadcast does not change afterwards"


def test_missing_control_variate_is_refused() -> None:
    with pytest.raises(TrainingError, match="client-000 lacks the control variate"):
        Scaffold(clients=1).aggregate(vector(0), updates([(1,)]))


def test_more_updates_than_clients_are_refused() -> None:
    strategy = Scaffold(clients=1)
    with pytest.raises(TrainingError, match="more than the 1 clients"):
        strategy.aggregate(vector(0), [update("a", 1, 1), update("b", 1, 1)])


@pytest.mark.parametrize("bad", [update("b", float("nan"), 1), update("b", 1, float("nan"))])
def test_failed_round_leaves_no_trace(bad: Update) -> None:
    strategy = Scaffold(clients=2)
    strategy.aggregate(vector(0), [update("a", 1, 2)])
    with pytest.raises(TrainingError, match="not finite"):
        strategy.aggregate(vector(0), [update("a", 1, 2), bad])
    assert strategy.broadcast()["control"].tolist() == [1]
    strategy.aggregate(vector(0), [update("a", 1, 2)])
    assert strategy.broadcast()["control"].tolist() == [2]


def test_with_bounds_it_ends_in_the_optimum_of_clients_that_differ() -> None:
    """Ten clients, each with a parabola of its own: the sum's lowest point is known."""
    rng = np.random.default_rng(0)
    curvature = rng.uniform(0.3, 2, (10, 20)).astype(np.float32)
    lowest = rng.standard_normal((10, 20)).astype(np.float32)
    optimum = (curvature * lowest).sum(0) / curvature.sum(0)
    strategy, steps, rate = Scaffold(clients=10), 10, 0.05
    strategy.bounds = Bounds(norm=1, weight=1)
    weights, own = np.full(20, 3, np.float32), np.zeros((10, 20), np.float32)
    for _ in range(200):
        control = strategy.broadcast().get("control", np.zeros(20, np.float32))
        sent = []
        for client in range(10):
            trained = weights.copy()
            for _ in range(steps):
                gradient = curvature[client] * (trained - lowest[client])
                trained -= np.float32(rate) * (gradient + control - own[client])
            change = control_change(trained - weights, control, steps, rate)
            own[client] += change
            sent.append(Update(f"client-{client}", 10, trained - weights, change))
        weights = strategy.aggregate(weights, sent, examples=[10] * 10)
    np.testing.assert_allclose(strategy.broadcast()["control"], own.mean(0), atol=1e-4)
    np.testing.assert_allclose(weights, optimum, atol=1e-4)
