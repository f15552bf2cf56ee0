import pytest

from aggregator.strategies import Update
from aggregator.strategies.scaffold import Scaffold
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
