"""Rounds of a federation, with an engine of NumPy."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.learning.training import Trained, train
from edge_client.simulation.central_training import CentralTraining
from edge_client.simulation.federation import SimulatedFederation, client_name
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.trainer import RoundOutcome, Trainer
from shared.errors import SettingsError
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

START = initial_weights(TINY, np.random.default_rng(0))
CLIENTS = [examples(count, seed) for seed, count in enumerate((24, 8, 13, 5))]


UNBOUNDED: dict[str, Any] = {"bound_norm": 0, "bound_weight": 0}


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse({"learning_rate": 0.01, "rounds": 6, **values})


def federation(
    clients: list[Examples] = CLIENTS, folder: Path | None = None, **values: Any
) -> SimulatedFederation:
    return SimulatedFederation(
        simulation(**values), [NumpyEngine(), NumpyEngine()], clients, folder
    )


def run(rounds: Trainer, numbers: range, weights: Weights = START) -> list[RoundOutcome]:
    outcomes = []
    for number in numbers:
        outcomes.append(rounds.run(number, weights))
        weights = outcomes[-1].weights
    return outcomes


def go_on_after_each_round(make: Callable[..., Trainer], rounds: int, place: Path) -> None:
    """Check that a simulation that goes on after any round ends in the same bits."""
    whole = run(make(folder=place / "whole"), range(1, rounds + 1))
    for number in range(rounds):
        folder = place / f"stopped-{number}"
        stopped = make(folder=folder)
        before = run(stopped, range(1, number + 1))
        state = stopped.state()
        stopped.settle(number)
        reached = before[-1].weights if before else START
        run(stopped, range(number + 1, rounds + 1), reached)  # a crash after the checkpoint
        resumed = make(folder=folder)
        resumed.restore(number, state)
        after = run(resumed, range(number + 1, rounds + 1), reached)
        assert after[-1].weights.tobytes() == whole[-1].weights.tobytes()


def alone(
    index: int, number: int, start: Weights, correction: Weights | None = None, **values: Any
) -> Trained:
    """Train one client as a round does, without a federation."""
    settings = simulation(**values)
    streams = partial(stream, settings.seed, "training", client_name(index), number)
    outcome = train(
        NumpyEngine(),
        start,
        CLIENTS[index],
        settings.part(TrainingSettings),
        streams,
        correction=correction,
    )
    assert isinstance(outcome, Trained)
    return outcome


def test_fedavg_is_the_mean_weighted_by_examples() -> None:
    (outcome,) = run(federation(CLIENTS[:2], **UNBOUNDED), range(1, 2))
    first, second = alone(0, 1, START), alone(1, 1, START)
    expected = (24 * first.weights.astype(float) + 8 * second.weights) / 32
    np.testing.assert_allclose(outcome.weights, expected, atol=1e-6)
    assert outcome.loss == pytest.approx((24 * first.loss + 8 * second.loss) / 32)
    assert outcome.clients == 2
    assert outcome.bytes_down == 2 * 4 * TINY.parameters
    assert 0 < outcome.bytes_up - outcome.bytes_down < 2 * 300, "a header more"


@pytest.mark.parametrize(
    "values",
    [
        {"strategy": "fedadam"},
        {"strategy": "fedavgm"},
        {"strategy": "median"},
        {"strategy": "trimmed-mean"},
        {"strategy": "krum", "byzantine": 0},
    ],
    ids=lambda values: values["strategy"],
)
def test_other_strategies_learn_too(values: dict[str, Any]) -> None:
    outcomes = run(federation(**values), range(1, 7))
    assert outcomes[-1].loss < outcomes[0].loss


def test_options_reach_the_strategy() -> None:
    (full,) = run(federation(), range(1, 2))
    (half,) = run(federation(server_learning_rate=0.5), range(1, 2))
    np.testing.assert_allclose(half.weights - START, (full.weights - START) / 2, atol=1e-6)
    with pytest.raises(SettingsError, match="no option tau"):
        federation(tau=0.1)
    with pytest.raises(SettingsError, match="no strategy best"):
        federation(strategy="best")


def test_the_order_of_the_work_does_not_show() -> None:
    engine = NumpyEngine()
    settings = simulation()
    one = SimulatedFederation(settings, [engine], CLIENTS)
    two = SimulatedFederation(settings, [engine], CLIENTS)
    first, second = run(one, range(1, 3)), []
    weights = START
    for number in (1, 2):  # with other work in between, on the same engine
        run(federation(seed=7), range(1, 2))
        second.append(two.run(number, weights))
        weights = second[-1].weights
    assert first[-1].weights.tobytes() == second[-1].weights.tobytes()
    assert START.tobytes() == initial_weights(TINY, np.random.default_rng(0)).tobytes()


def test_another_seed_gives_other_weights() -> None:
    (one,), (other,) = run(federation(), range(1, 2)), run(federation(seed=1), range(1, 2))
    assert one.weights.tobytes() != other.weights.tobytes()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 4),
        ({"fraction": 0.5}, 2),
        ({"fraction": 0.01}, 1),
        ({"clients_per_round": 3}, 3),
        ({"clients_per_round": 9}, 4),
    ],
)
def test_sampling_by_fraction_and_number(values: dict[str, Any], expected: int) -> None:
    rounds = federation(**values)
    samples = [rounds._sample(number) for number in range(1, 41)]
    assert {len(set(sample)) for sample in samples} == {expected}
    assert all(sample == sorted(sample) for sample in samples)
    assert set(itertools.chain(*samples)) == {0, 1, 2, 3}, "everyone's turn comes"
    (outcome,) = run(rounds, range(1, 2))
    assert outcome.clients == expected
    assert samples == [federation(**values)._sample(number) for number in range(1, 41)]


def test_only_the_sampled_count() -> None:
    rounds = federation(clients_per_round=1)
    (outcome,) = run(rounds, range(1, 2))
    (index,) = rounds._sample(1)
    np.testing.assert_allclose(outcome.weights, alone(index, 1, START).weights, atol=1e-6)


def test_clients_drop_out_as_often_as_they_should() -> None:
    rounds = federation(CLIENTS[:1] * 100, client_dropout=0.3)
    answering = [len(rounds._answering(n, rounds._sample(n))) for n in range(50)]
    assert 65 < np.mean(answering) < 75
    assert len(set(answering)) > 5


def test_those_that_dropped_out_received_but_did_not_send() -> None:
    outcomes = run(federation(client_dropout=0.5), range(1, 7))
    assert {outcome.bytes_down for outcome in outcomes} == {4 * 4 * TINY.parameters}
    assert len({outcome.clients for outcome in outcomes}) > 1
    for outcome in outcomes:
        assert 0 <= outcome.bytes_up - outcome.clients * 4 * TINY.parameters < 4 * 300


def test_a_round_in_which_all_fail_changes_nothing() -> None:
    rounds = federation(client_dropout=0.999)
    (outcome,) = run(rounds, range(1, 2))
    assert outcome.clients == outcome.bytes_up == 0
    assert math.isnan(outcome.loss)
    assert outcome.weights.tobytes() == START.tobytes()


SCAFFOLD: dict[str, Any] = {
    "strategy": "scaffold",
    "optimizer": "sgd",
    "batch_size": 5,
    "client_dropout": 0.3,
}


def test_scaffold_corrects_by_the_paper_s_rule() -> None:
    values = SCAFFOLD | UNBOUNDED | {"client_dropout": 0.0, "epochs": 2}
    rounds = federation(**values)
    first, second = run(rounds, range(1, 3))
    zero = np.zeros_like(START)
    control, own = zero, [zero] * 4
    weights = START
    for number in (1, 2):  # Karimireddy et al. (2020), algorithm 1, option II
        ends = [alone(i, number, weights, control - own[i], **values) for i in range(4)]
        new = [
            own[i] - control + (weights - end.weights) / (end.steps * 0.01)
            for i, end in enumerate(ends)
        ]
        weights = weights + np.mean([end.weights - weights for end in ends], 0)
        control = control + np.mean([after - before for after, before in zip(new, own)], 0)  # noqa: B905 -- four of each
        own = new
    np.testing.assert_allclose(second.weights, weights, atol=1e-5)
    (plain,) = run(federation(**{**values, "strategy": "fedavg"}), range(2, 3), first.weights)
    assert np.abs(plain.weights - second.weights).max() > 1e-4, "the correction does something"
    more = second.bytes_up - 2 * 4 * 4 * TINY.parameters
    assert 0 < more < 4 * 300, "a control variate goes along"


def test_vectors_that_strategies_ask_for_reach_those_that_want_all_updates_at_once() -> None:
    outcomes = [
        run(federation(strategy=strategy, optimizer="sgd"), range(1, 4))
        for strategy in ("scaffold", "tests.aggregator.strategies.own:DriftFreeTogether")
    ]
    streamed, together = (outcome[-1].weights.tobytes() for outcome in outcomes)
    assert streamed == together


@pytest.mark.parametrize(
    "values", [SCAFFOLD, {"strategy": "fedadam", "fraction": 0.5}, {"strategy": "fedavgm"}]
)
def test_going_on_after_any_round_ends_in_the_same(tmp_path: Path, values: dict[str, Any]) -> None:
    go_on_after_each_round(partial(federation, **values), 6, tmp_path)


def test_the_learning_rate_follows_its_schedule() -> None:
    settings = simulation(schedule="cosine", rounds=4)
    rates = [settings.announced(number).learning_rate for number in range(1, 5)]
    expected = [0.01 * (1 + math.cos(math.pi * n / 4)) / 2 for n in range(4)]
    assert rates == pytest.approx(expected)
    assert simulation().announced(5).learning_rate == 0.01


def test_the_server_s_steps_follow_their_own_schedule() -> None:
    (plain,) = run(federation(), range(4, 5))
    (scheduled,) = run(federation(server_schedule="cosine"), range(4, 5))
    # Round 4 of 6 is half way down.
    np.testing.assert_allclose(scheduled.weights - START, (plain.weights - START) / 2, atol=1e-6)


def test_the_baseline_is_one_long_training() -> None:
    settings = simulation(baseline=True, epochs=1, batch_size=8, dropout=False)
    central = CentralTraining(settings, NumpyEngine(), CLIENTS[0])
    outcomes = run(central, range(1, 4))
    engine = NumpyEngine()
    engine.begin(START, settings.part(TrainingSettings), anchor=START)
    for number in range(1, 4):
        order = stream(0, "training", "baseline", number, "shuffle", 0).permutation(24)
        for batch in order.reshape(3, 8):
            part = CLIENTS[0].take(batch)
            engine.step(part.features, part.frames, part.labels, 0)
    assert outcomes[-1].weights.tobytes() == engine.weights().tobytes()
    assert [outcome.bytes_up for outcome in outcomes] == [0, 0, 0]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_baseline_goes_on_after_any_epoch(optimizer: str) -> None:
    settings = simulation(baseline=True, optimizer=optimizer)
    whole = run(CentralTraining(settings, NumpyEngine(), CLIENTS[0]), range(1, 4))
    for number in range(4):
        first = CentralTraining(settings, NumpyEngine(), CLIENTS[0])
        before = run(first, range(1, number + 1))
        second = CentralTraining(settings, NumpyEngine(), CLIENTS[0])
        second.restore(number, first.state() if number else {})
        second.settle(number)
        reached = before[-1].weights if before else START
        after = run(second, range(number + 1, 4), reached) or before
        assert after[-1].weights.tobytes() == whole[-1].weights.tobytes()


def test_names_sort_as_numbers_do() -> None:
    names = [client_name(index) for index in range(0, 10_000, 7)]
    assert names == sorted(names)
