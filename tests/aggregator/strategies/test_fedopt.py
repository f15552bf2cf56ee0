"""FedAdam, FedYogi and FedAdagrad against two rounds worked out by hand."""

import math

import numpy as np
import pytest

from aggregator.strategies.fedadagrad import FedAdagrad
from aggregator.strategies.fedadam import CHAU_GARCES, FedAdam
from aggregator.strategies.fedopt import FedOpt
from aggregator.strategies.fedyogi import FedYogi
from tests.aggregator.strategies.updates import updates, vector


def two_rounds(strategy: FedOpt) -> tuple[float, float]:
    """Aggregate the mean deltas 2 (of 1 and 5, weighted 3 to 1) and -1, from weight 10."""
    first = strategy.aggregate(vector(10), updates([(1,), (5,)], [3, 1]))
    second = strategy.aggregate(first, updates([(-1,)], [7]))
    return float(first[0]), float(second[0])


def test_fedadam() -> None:
    # m: 0.2, then 0.9 * 0.2 - 0.1 = 0.08; v: 0.99 * 0.25 + 0.01 * 4, then 0.99 * v + 0.01.
    v1 = 0.2875
    v2 = 0.294625
    x1 = 10 + 0.1 * 0.2 / (math.sqrt(v1) + 0.5)
    x2 = x1 + 0.1 * 0.08 / (math.sqrt(v2) + 0.5)
    assert two_rounds(FedAdam(server_learning_rate=0.1, tau=0.5)) == pytest.approx((x1, x2))


def test_fedyogi() -> None:
    # v: 0.25 grows by 0.01 * 4 to 0.29, as 4 is larger; then by 0.01 * 1 to 0.3.
    x1 = 10 + 0.1 * 0.2 / (math.sqrt(0.29) + 0.5)
    x2 = x1 + 0.1 * 0.08 / (math.sqrt(0.30) + 0.5)
    assert two_rounds(FedYogi(server_learning_rate=0.1, tau=0.5)) == pytest.approx((x1, x2))


def test_fedyogi_shrinks_slowly() -> None:
    strategy = FedYogi(tau=2)
    strategy.aggregate(vector(0), updates([(1,)]))
    assert strategy.state()["v"] == pytest.approx([4 - 0.01])


def test_fedadagrad() -> None:
    # No momentum: m is the delta. v: 0.25 + 4, then + 1.
    x1 = 10 + 0.1 * 2 / (math.sqrt(4.25) + 0.5)
    x2 = x1 - 0.1 * 1 / (math.sqrt(5.25) + 0.5)
    assert two_rounds(FedAdagrad(server_learning_rate=0.1, tau=0.5)) == pytest.approx((x1, x2))


def test_bias_correction_makes_the_first_step_a_whole_one() -> None:
    strategy = FedAdam(server_learning_rate=0.1, tau=1e-7, bias_correction=True)
    assert strategy.aggregate(vector(0, 0), updates([(3, -0.01)])) == pytest.approx(
        [0.1, -0.1], rel=1e-3
    )


def test_chau_garces_is_the_adam_of_keras() -> None:
    import keras

    rng = np.random.default_rng(1)
    weights = rng.standard_normal(50).astype(np.float32)
    variable = keras.Variable(weights)
    optimizer = keras.optimizers.Adam(1e-2)
    strategy = FedAdam(**CHAU_GARCES)  # type: ignore[arg-type]  # one dictionary of two types
    for _ in range(5):
        delta = (1e-3 * rng.standard_normal(50)).astype(np.float32)
        optimizer.apply_gradients([(-delta, variable)])
        weights = strategy.aggregate(weights, updates([delta.tolist()]))
        np.testing.assert_allclose(weights, variable.numpy(), rtol=1e-5, atol=1e-7)
