"""Strategies of one's own: found by name, given their options, or refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aggregator.cli import app
from aggregator.settings import AggregatorSettings
from aggregator.strategies.settings import strategy_of
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.settings import SimulationSettings
from shared.errors import SettingsError
from shared.randomness import stream
from shared.weights import Weights, initial_weights
from tests.aggregator.strategies.own import LargestNorm
from tests.edge_client.tiny import TINY, NumpyEngine, examples
from tests.installed import offer

OWN = "tests.aggregator.strategies.own"


def rounds(**values: Any) -> Weights:
    """Simulate two rounds of three clients."""
    settings = SimulationSettings.parse({"rounds": 2, "codec": "int8", **values})
    clients = [examples(count, seed) for seed, count in enumerate((8, 20, 4))]
    simulation = SimulatedFederation(settings, [NumpyEngine()], clients)
    weights = initial_weights(TINY, stream(0, "initial weights"))
    for number in (1, 2):
        weights = simulation.run(number, weights).weights
    return weights


def test_it_is_named_by_its_module_and_has_the_options_of_settings() -> None:
    settings = AggregatorSettings.parse({"strategy": f"{OWN}:LargestNorm", "trim": 0.25})
    strategy = strategy_of(settings)
    assert isinstance(strategy, LargestNorm)
    assert (strategy.trim, strategy.server_learning_rate, strategy.name) == (0.25, 1, "LargestNorm")


def test_it_runs_a_simulation() -> None:
    half, whole = (rounds(strategy=f"{OWN}:LargestNorm", trim=trim) for trim in (0.25, 0.5 - 1e-9))
    assert half.tobytes() != whole.tobytes()


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("codec", ["none", "int8"])
def test_a_step_that_gives_back_the_weights_leaves_them_as_they_are(
    schedule: str, codec: str
) -> None:
    idle: dict[str, Any] = {"strategy": f"{OWN}:Idle", "server_schedule": schedule}
    after = rounds(**idle, download_codec=codec)
    assert after.tobytes() == initial_weights(TINY, stream(0, "initial weights")).tobytes()


def test_control_variates_come_by_what_a_strategy_asks_for_not_by_its_name() -> None:
    plain = {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 4}
    ours, own = (rounds(strategy=name, **plain) for name in ("scaffold", f"{OWN}:DriftFree"))
    assert own.tobytes() == ours.tobytes()
    assert own.tobytes() != rounds(strategy="fedavg", **plain).tobytes()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strategy": f"{OWN}:rounds"}, "cannot be imported: AttributeError"),
        ({"strategy": f"{OWN}:np"}, "is not a valid strategy: it should be a subclass of"),
        ({"strategy": f"{OWN}:Update"}, "is not a valid strategy: it should be a subclass of"),
        ({"strategy": f"{OWN}:Unfinished"}, "is not a valid strategy: it does not define combine"),
        ({"strategy": f"{OWN}:Nosy"}, "asks clients for examples, but they can send control"),
        ({"strategy": f"{OWN}:LargestNorm", "tau": 0.1}, "has no option tau"),
        ({"strategy": f"{OWN}:LargestNorm", "head_only": True}, "wants whole models"),
        ({"strategy": f"{OWN}:DriftFree", "optimizer": "sgd"}, "needs the option clients"),
        ({"strategy": "x" * 65}, "strategy"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        AggregatorSettings.parse(values)
    assert sentence in raised.value.problem
    assert "\n" not in raised.value.problem


def test_those_of_packages_are_listed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"largest-norm": f"{OWN}:LargestNorm", "gone": "nowhere:Gone"}
    offer(tmp_path, monkeypatch, "chorus.strategies", **points)
    answer = CliRunner().invoke(app, ["strategies", "--json"])
    assert answer.exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(answer.stdout)}
    assert listed["largest-norm"]["options"] == {"server_learning_rate": 1.0, "trim": 0.5}
    assert listed["largest-norm"]["summary"]
    assert "cannot be imported" in listed["gone"]["summary"]
    assert AggregatorSettings.parse({"strategy": "largest-norm"}).strategy == "largest-norm"
