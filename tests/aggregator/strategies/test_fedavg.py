import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from aggregator.strategies import Update
from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.fedavgm import FedAvgM
from shared.errors import TrainingError
from tests.aggregator.strategies.updates import updates, vector


def test_average_is_weighted_by_examples() -> None:
    weights = vector(10, 10)
    result = FedAvg().aggregate(weights, updates([(1, 0), (5, 8)], [3, 1]))
    assert result.tolist() == [12, 12]
    assert weights.tolist() == [10, 10], "the global weights are left as they are"


def test_server_learning_rate_scales_the_step() -> None:
    result = FedAvg(server_learning_rate=0.5).aggregate(vector(10), updates([(4,)]))
    assert result.tolist() == [12]


def test_momentum_over_two_rounds() -> None:
    strategy = FedAvgM(server_learning_rate=2, server_momentum=0.5)
    first = strategy.aggregate(vector(0, 0), updates([(1, 2), (3, 2)]))
    assert first.tolist() == [4, 4]  # v = (2, 2)
    second = strategy.aggregate(first, updates([(1, -3)]))
    assert second.tolist() == [8, 0]  # v = (1, 1) + (1, -3) = (2, -2)


def test_update_without_examples_is_refused() -> None:
    with pytest.raises(TrainingError, match="client-001 has no examples"):
        FedAvg().aggregate(vector(0), updates([(1,), (1,)], [3, 0]))


def test_memory_does_not_grow_with_clients() -> None:
    length = 1_000_000
    weights = np.zeros(length, np.float32)

    def arriving() -> Iterator[Update]:
        for client in range(50):
            yield Update(f"client-{client:03d}", 1, np.full(length, client, np.float32))

    tracemalloc.start()
    try:
        result = FedAvg().aggregate(weights, arriving())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result[0] == 24.5
    # The sum, the update that is read and the one that comes next; pieces are small.
    assert peak < 3.3 * weights.nbytes
