"""What holds for every strategy, and the making of strategies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.strategies import (
    STRATEGIES,
    Strategy,
    Update,
    arithmetic,
    fedopt,
    make_strategy,
    strategy_options,
)
from aggregator.strategies.fedavg import FedAvg
from shared.errors import SettingsError, TrainingError
from shared.weights import pieces
from tests.aggregator.strategies.updates import rounds, updates, vector

every_strategy = pytest.mark.parametrize("name", list(STRATEGIES))


def make(name: str) -> Strategy:
    return make_strategy(name, clients=9) if name == "scaffold" else make_strategy(name)


@every_strategy
@settings(max_examples=40, deadline=None)
@given(arrived=rounds(least=5), piece=st.integers(1, 50))
def test_pieces_do_not_show(name: str, arrived: list[Update], piece: int) -> None:
    weights = np.linspace(-1, 1, len(arrived[0].delta), dtype=np.float32)
    whole = make(name).aggregate(weights, arrived)
    with pytest.MonkeyPatch.context() as patch:
        for module in (arithmetic, fedopt):
            patch.setattr(module, "pieces", lambda length, size=piece: pieces(length, size))
        assert make(name).aggregate(weights, arrived).tobytes() == whole.tobytes()


@every_strategy
@settings(max_examples=40, deadline=None)
@given(first=rounds(least=5))
def test_goes_on_bit_for_bit_after_a_restart(name: str, first: list[Update]) -> None:
    weights = np.zeros(len(first[0].delta), np.float32)
    second = [
        Update(u.client, 1, u.delta[:] * np.float32(0.7), u.delta[:]) for u in reversed(first)
    ]
    second.sort(key=lambda update: update.client)
    lasting = make(name)
    weights = lasting.aggregate(weights, first)
    saved = lasting.state()
    before = {key: value.tobytes() for key, value in saved.items()}
    going_on = lasting.aggregate(weights, second)
    assert {key: value.tobytes() for key, value in saved.items()} == before, "a copy"
    restarted = make(name)
    restarted.restore(saved)
    assert restarted.aggregate(weights, second).tobytes() == going_on.tobytes()
    assert saved.keys() == set(STRATEGIES.get(name).remembers)
    assert {key: value.tobytes() for key, value in restarted.state().items()} == {
        key: value.tobytes() for key, value in lasting.state().items()
    }


@every_strategy
def test_result_and_weights_stay_float32(name: str) -> None:
    arrived = [Update(f"{i}", 3, vector(i, -i), vector(0, 1)) for i in range(5)]
    strategy = make(name)
    result = strategy.aggregate(vector(1, 2), arrived)
    assert result.dtype == np.float32
    assert all(np.array_equal(u.delta[:], vector(i, -i)) for i, u in enumerate(arrived))
    for key, value in strategy.state().items():
        assert value.dtype == (np.int64 if key == "steps" else np.float32)


@every_strategy
def test_no_updates_are_refused(name: str) -> None:
    with pytest.raises(TrainingError):
        make(name).aggregate(vector(1), [])


@every_strategy
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e20])
@pytest.mark.parametrize("liars", [1, 5])
def test_nonsense_never_becomes_the_model(name: str, value: float, liars: int) -> None:
    strategy = make(name)
    honest = [Update(f"{i}", 1, vector(1, 1), vector(0, 0)) for i in range(5)]
    weights = strategy.aggregate(vector(0, 0), honest)
    before = {key: kept.tobytes() for key, kept in strategy.state().items()}
    bad = [Update(u.client, 1, vector(1, value), vector(0, 0)) for u in honest[:liars]]
    arrived = bad + honest[liars:]
    if liars == 1 and strategy.random_access:  # a robust strategy
        assert strategy.aggregate(weights, arrived).tolist() == [2, 2]
        return
    with pytest.raises(TrainingError, match="not finite"):
        strategy.aggregate(weights, arrived)
    assert {key: kept.tobytes() for key, kept in strategy.state().items()} == before


def test_updates_out_of_order_are_the_callers_mistake() -> None:
    first, second = updates([(1,), (2,)])
    for arrived in ([second, first], [first, first]):
        with pytest.raises(ValueError, match="sort them by client"):
            make("fedavg").aggregate(vector(0), arrived)


def test_updates_of_another_model_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="client-000 is not as long"):
        make("fedavg").aggregate(vector(0, 0), updates([(1,)]))


def test_state_of_another_strategy_is_refused() -> None:
    strategy = make("fedavgm")
    with pytest.raises(ValueError, match="not the state of fedavgm"):
        strategy.restore({"m": vector(1), "v": vector(1)})


class Remembering(FedAvg):
    """One of one's own that remembers more than the control variate."""

    extra_vectors = ("control",)
    remembers = ("control", "m", "v")


@pytest.mark.parametrize("names", ["", "control", "m v", "control m v"])
def test_control_variates_may_come_without_the_rest_and_it_without_them(names: str) -> None:
    strategy = Remembering()
    strategy.restore({name: vector(1) for name in names.split()})
    assert strategy.state().keys() == set(names.split())


@pytest.mark.parametrize("names", ["m", "control m", "m v w", "control w"])
def test_the_rest_comes_whole(names: str) -> None:
    with pytest.raises(ValueError, match="not the state of"):
        Remembering().restore({name: vector(1) for name in names.split()})


def test_names() -> None:
    means = ["fedavg", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "scaffold"]
    robust = ["median", "trimmed-mean", "krum", "multi-krum"]
    assert sorted(STRATEGIES) == sorted([*means, *robust])
    assert [name for name in STRATEGIES if STRATEGIES.get(name).random_access] == robust


def test_options_not_given_keep_the_defaults() -> None:
    strategy = make_strategy("fedadam", beta1=0.5, tau=None)
    assert vars(strategy).items() >= {"beta1": 0.5, "beta2": 0.99, "tau": 1e-3}.items()
    assert strategy.server_learning_rate == 0.01


def test_unknown_strategy() -> None:
    with pytest.raises(SettingsError, match="no strategy fedsgd") as caught:
        make_strategy("fedsgd")
    assert "trimmed-mean" in caught.value.problem


def test_unknown_option_names_those_that_exist() -> None:
    with pytest.raises(SettingsError, match="fedavgm has no option beta1") as caught:
        make_strategy("fedavgm", beta1=0.9)
    assert caught.value.remedy == "It has server_learning_rate, server_momentum."


def test_missing_option() -> None:
    with pytest.raises(SettingsError, match="scaffold needs the option clients"):
        make_strategy("scaffold")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fedavg", {"server_learning_rate": 0}),
        ("fedavg", {"server_learning_rate": float("nan")}),
        ("fedavg", {"server_learning_rate": "fast"}),
        ("fedavgm", {"server_momentum": 1.0}),
        ("fedadam", {"beta1": -0.1}),
        ("fedadam", {"beta2": 1}),
        ("fedyogi", {"tau": 0.0}),
        ("fedadagrad", {"tau": float("inf")}),
        ("trimmed-mean", {"trim": 0.5}),
        ("krum", {"byzantine": -1}),
        ("krum", {"byzantine": 1.5}),
        ("multi-krum", {"select": 0}),
        ("scaffold", {"clients": 0}),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, float]) -> None:
    (option,) = options
    with pytest.raises(SettingsError, match=f"The option {option} should be"):
        make_strategy(name, **options)


@every_strategy
def test_every_option_is_documented(name: str) -> None:
    documentation = STRATEGIES.get(name).__doc__ or ""
    for option in strategy_options(name):
        assert option in documentation
