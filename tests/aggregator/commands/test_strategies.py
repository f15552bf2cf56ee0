import json

from typer.testing import CliRunner

from aggregator.cli import app
from aggregator.strategies import STRATEGIES


def test_every_strategy_is_listed_with_its_options() -> None:
    answer = CliRunner().invoke(app, ["strategies", "--json"])
    assert answer.exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(answer.stdout)}
    assert listed.keys() == set(STRATEGIES)
    assert listed["fedadam"]["options"]["server_learning_rate"] == 0.01
    assert all(entry["summary"] for entry in listed.values())


def test_the_table_names_them_all() -> None:
    answer = CliRunner().invoke(app, ["strategies"])
    assert answer.exit_code == 0
    assert all(name in answer.stdout for name in ("fedavg", "krum", "scaffold"))
