"""What cannot work is known before a simulation starts."""

from typing import Any, Literal

import pytest

from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.start_checks import check_can_start, check_parts
from shared.errors import (
    ChorusError,
    MissingPartError,
    SettingsError,
    WeightsError,
)
from tests.edge_client.tiny import utterances

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize(
    "values",
    [
        {"clients": 33},
        {"folds": 7},
        {"clients_per_round": 5},
        {"partition": "speaker", "clients_per_round": 5},
        {"strategy": "krum"},
        {"strategy": "krum", "client_dropout": 0.5},
        {"strategy": "multi-krum", "clients": 9, "fraction": 0.5},
        {"strategy": "multi-krum", "clients": 5, "select": 5},
        {"strategy": "trimmed-mean", "clients": 2},
        {"strategy": "trimmed-mean", "clients": 6, "trim": 0.34},
        {"attack": "sign-flip", "attackers": 5},
    ],
    ids=str,
)
def test_what_cannot_start_is_known_before(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        check_can_start(SimulationSettings.parse(values), utterances(6, 8))
    assert caught.value.remedy


def test_voices_are_not_told_from_frames_and_that_is_known_from_the_settings_alone() -> None:
    with pytest.raises(SettingsError, match="normalisation voice needs one vector an utterance"):
        SimulationSettings.parse({"normalisation": "voice", "model": "tiny"})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"clients_per_round": 4},
        {"attack": "sign-flip", "attackers": 4},
        {"attackers": 5},
        {"clients_per_round": 9, "baseline": True},
        {"strategy": "krum", "clients": 5},
        {"strategy": "krum", "byzantine": 0},
        {"strategy": "krum", "baseline": True},
        {"strategy": "multi-krum", "clients": 5, "select": 4},
        {"strategy": "trimmed-mean", "clients": 3},
        {"strategy": "trimmed-mean", "clients": 6, "trim": 0.34, "client_dropout": 0.1},
        {"strategy": "scaffold", "optimizer": "sgd"},
    ],
    ids=str,
)
def test_what_can_start_may(values: dict[str, Any]) -> None:
    check_parts(SimulationSettings.parse(values))
    examples = check_can_start(SimulationSettings.parse(values), utterances(6, 8))
    assert sum(examples) == 32


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"strategy": "best"}, SettingsError),
        ({"strategy": "fedavg", "tau": 0.1}, SettingsError),
        ({"initial": "/nowhere/model.safetensors"}, WeightsError),
    ],
)
def test_parts_that_are_wrong_are_known_before(
    values: dict[str, Any], error: type[ChorusError]
) -> None:
    with pytest.raises(error) as caught:
        check_parts(SimulationSettings.parse(values))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("engine", "missing"),
    [("keras", "tensorflow"), ("keras", "matplotlib"), ("tflite", "matplotlib")],
)
def test_a_package_that_is_missing_is_known_before(
    monkeypatch: pytest.MonkeyPatch, engine: Literal["keras", "tflite"], missing: str
) -> None:
    monkeypatch.setattr("edge_client.simulation.start_checks.find_runtime", lambda: None)
    monkeypatch.setattr(
        "edge_client.simulation.start_checks.find_spec", lambda name: name != missing or None
    )
    with pytest.raises(MissingPartError, match=f"need {missing}, which is not") as caught:
        check_parts(SimulationSettings(engine=engine))
    assert "pip install 'chorus-edge[workstation]'" in caught.value.remedy


def test_a_runtime_that_is_missing_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise MissingPartError("No TFLite runtime is installed.")

    monkeypatch.setattr("edge_client.simulation.start_checks.find_runtime", none)
    check_parts(SimulationSettings())
    with pytest.raises(MissingPartError):
        check_parts(SimulationSettings(engine="tflite"))
