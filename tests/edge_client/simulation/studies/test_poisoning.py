"""Dishonest clients of a simulated federation: what they learn from, and what they send."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.strategies import Update
from edge_client.simulation.federation import client_name
from edge_client.simulation.poisoning import CLAIM, SCALE
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.poisoning_study import (
    FEDERATIONS,
    plan_poisoning,
    rows_of_poisoning,
)
from shared.errors import SettingsError
from shared.weights import Weights, norm
from tests.edge_client.simulation.test_federation import (
    CLIENTS,
    START,
    UNBOUNDED,
    federation,
    run,
)


def sent(**values: Any) -> dict[str, Update]:
    """Give what the clients of a first round send."""
    rounds = federation(**UNBOUNDED, **values)
    return {update.client: update for update in rounds._updates(1, START, [0, 1, 2, 3], {})}


@pytest.mark.parametrize("attack", ["sign-flip", "label-flip", "scale"])
def test_the_first_clients_attack_and_the_others_do_not(attack: str) -> None:
    honest, found = sent(), sent(attack=attack, attackers=2)
    for index in range(4):
        one, other = honest[client_name(index)], found[client_name(index)]
        assert np.array_equal(one.delta[:], other.delta[:]) == (index >= 2)


def test_what_each_attack_sends() -> None:
    honest = sent()[client_name(0)]
    flipped = sent(attack="sign-flip")[client_name(0)]
    np.testing.assert_array_equal(flipped.delta[:], -honest.delta[:])
    assert flipped.examples == honest.examples
    learned = sent(attack="label-flip")[client_name(0)]
    scaled = sent(attack="scale")[client_name(0)]
    np.testing.assert_array_equal(scaled.delta[:], learned.delta[:] * np.float32(SCALE))
    assert scaled.examples == CLAIM


def moved(**values: Any) -> Weights:
    """Give how far a round moves the model, with one of four that replaces it."""
    (outcome,) = run(federation(attack="scale", **values), range(1, 2))
    return outcome.weights - START


def test_bounds_keep_one_client_from_replacing_the_model() -> None:
    longest = max(norm(update.delta) for update in sent().values())
    assert norm(moved(**UNBOUNDED)) > 20 * longest
    assert norm(moved()) < 1.5 * longest


def test_going_on_needs_the_norms_of_the_rounds_before(tmp_path: Path) -> None:
    values: dict[str, Any] = {"attack": "scale", "codec": "int8"}
    whole = run(federation(CLIENTS, tmp_path / "whole", **values), range(1, 5))
    stopped = federation(CLIENTS, tmp_path / "stopped", **values)
    reached = run(stopped, range(1, 3))[-1].weights
    stopped.settle(2)
    resumed = federation(CLIENTS, tmp_path / "stopped", **values)
    resumed.restore(2, stopped.state())
    assert resumed.state()["bounds.norms"].shape == (2,)
    after = run(resumed, range(3, 5), reached)
    assert after[-1].weights.tobytes() == whole[-1].weights.tobytes()


def test_the_study_has_each_strategy_under_each_attack(tmp_path: Path) -> None:
    def collect(values: Any) -> SimulationSettings:
        return SimulationSettings.parse(dict(values))

    cells = plan_poisoning(collect, tmp_path, ["fedavg-unbounded", "multi-krum", "trimmed-mean"], 3)
    assert len(cells) == 3 * 4 * len(FEDERATIONS)
    facts, plan = cells[-1]
    assert facts == {"strategy": "trimmed-mean", "attack": "label-flip", "attackers": 3} | {
        "clients": 10
    }
    assert [planned.settings.seed for planned in plan] == [0, 1, 2]
    assert plan[0].settings.trim == 0.3
    assert cells[12][1][0].settings.byzantine == 3
    assert cells[0][1][0].settings.bound_norm == 0
    assert cells[12][1][0].settings.bound_norm == SimulationSettings().bound_norm > 0
    score = {"mean": {"uar": 0.5}, "std": {"uar": None}}
    rows = rows_of_poisoning([{**facts, **score} for facts, _ in cells])
    assert rows[0][:3] == ["strategy", "5 clients, honest", "1 of 5, sign-flip"]
    assert [len(row) for row in rows] == [9] * 4
    with pytest.raises(SettingsError, match="needs attack"):
        plan_poisoning(
            lambda values: collect({**values, "attack": "scale"}), tmp_path, ["median"], 1
        )
