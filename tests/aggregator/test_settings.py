"""The aggregator's settings: together, and over a federation's life."""

import re
from pathlib import Path
from typing import Any

import pytest

from aggregator.settings import AggregatorSettings, StateSettings
from aggregator.strategies.settings import strategy_of
from shared.errors import SettingsError
from shared.round_settings import FederatedSettings
from shared.training import TrainingSettings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"min_updates": 3, "quorum": 2}, "more than the quorum"),
        ({"min_updates": 3, "quorum": 5, "clients_per_round": 2}, "clients_per_round"),
        ({"strategy": "scaffold", "optimizer": "sgd"}, "scaffold needs the option clients"),
        ({"strategy": "scaffold", "clients": 3}, "plain SGD"),
        ({"secure": True}, "secure needs by_invitation"),
        ({"secure": True, "by_invitation": True, "codecs": "sign"}, "leave out codecs"),
        ({"secure": True, "by_invitation": True, "min_updates": 2}, "go by at_least"),
        ({"secure": True, "by_invitation": True, "strategy": "median"}, "needs single updates"),
        ({"secure": True, "by_invitation": True, "bound_norm": 2}, "compares single updates"),
        ({"secure": True, "by_invitation": True, "clients_per_round": 2}, "3 to 100"),
        (
            {
                "secure": True,
                "by_invitation": True,
                "dp_epsilon": 8,
                "rounds": 2,
                "clients_per_round": 4,
                "ring_examples": 50,
            },
            "ring_examples means nothing with dp_epsilon",
        ),
        ({"federation": "Living Room"}, "federation"),
        ({"federation": "a/b"}, "federation"),
        ({"codecs": " , "}, "codecs"),
        ({"codecs": ",".join(["int8"] * 17)}, "codecs should name 1 to 16"),
        ({"codecs": "int8,package.module:" + "x" * 60}, "more than 64 characters"),
        ({"round_seconds": float("nan")}, "round_seconds"),
        ({"round_seconds": 0}, "round_seconds"),
        ({"largest_norm": float("inf")}, "largest_norm"),
        ({"largest_norm": float("nan")}, "largest_norm"),
        ({"epochs": 1, "steps": 2}, "epochs or steps"),
        ({"chunk": 1 << 25}, "chunk"),
        ({"rounds": 0}, "rounds"),
    ],
)
def test_what_does_not_fit_is_said(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        AggregatorSettings.parse(values)


def test_the_state_folder_is_where_such_things_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert StateSettings().folder == tmp_path / ".local/state/chorus-aggregator"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert StateSettings().folder == Path("/state/chorus-aggregator")
    assert StateSettings(state=Path("~/x")).folder == tmp_path / "x"


@pytest.mark.parametrize("codecs", ["int8, float32", ["int8", "float32"], ["int8,float32"]])
def test_codecs_are_a_list_or_are_separated_by_commas(codecs: str | list[str]) -> None:
    assert AggregatorSettings.parse({"codecs": codecs}).codecs == ("int8", "float32")


def test_every_setting_says_what_it_is() -> None:
    for name, field in AggregatorSettings.model_fields.items():
        assert field.description, name


def test_settings_of_the_federation_are_fixed_and_others_are_not() -> None:
    begun = AggregatorSettings().model_dump(mode="json")
    free = {
        "rounds": 99,
        "quorum": 9,
        "min_updates": 2,
        "round_seconds": 1.0,
        "new_examples": 0,
        "least_examples": 1,
        "every": 0.0,
        "largest_norm": 5.0,
        "most_examples": 5,
        "by_invitation": True,
        "at_least": 4,
        "codecs": "int8",
        "chunk": 2048,
        "keep_models": 1,
        "state": Path("x"),
        "validation_corpus": "synthetic",
        "validation_data": Path("x"),
        "validation_normalisation": "none",
    }
    for name, value in free.items():
        assert AggregatorSettings.parse({name: value}).first_change(begun) is None, name
    other = {name: object() for name in begun}
    fixed = {
        name
        for name in begun
        if AggregatorSettings().first_change({**begun, name: other[name]}) == name
    }
    assert fixed == begun.keys() - free.keys()
    cosine_begun = AggregatorSettings(schedule="cosine", rounds=20).model_dump(mode="json")
    assert AggregatorSettings(schedule="cosine", rounds=99).first_change(cosine_begun) == "rounds"


def test_a_federation_begun_before_a_setting_was_brought_goes_on() -> None:
    begun = AggregatorSettings().model_dump(mode="json")
    del begun["averaging"], begun["labels"], begun["front_end"]
    assert AggregatorSettings().first_change(begun) is None
    assert AggregatorSettings(averaging=0.5).first_change(begun) == "averaging"
    assert AggregatorSettings(labels=("calm", "sad")).first_change(begun) == "labels"


def test_schedules_fall_to_zero() -> None:
    values: dict[str, Any] = {"schedule": "cosine", "rounds": 4, "learning_rate": 0.3, "steps": 7}
    settings = FederatedSettings.parse({**values, "server_schedule": "cosine"})
    assert [settings.step_length(n) for n in (1, 3)] == pytest.approx([1, 0.5])
    assert settings.announced(3) == TrainingSettings(learning_rate=0.15, steps=7)
    assert FederatedSettings.parse({"schedule": "constant"}).step_length(3) == 1


def test_strategies_get_their_options() -> None:
    values: dict[str, Any] = {"strategy": "fedadam", "beta1": 0.5, "server_learning_rate": 0.3}
    own = strategy_of(FederatedSettings.parse(values))
    assert (own.name, vars(own)["beta1"], own.server_learning_rate) == ("fedadam", 0.5, 0.3)
    scaffold = {"strategy": "scaffold", "optimizer": "sgd"}
    assert vars(strategy_of(FederatedSettings.parse(scaffold), 9))["clients"] == 9
