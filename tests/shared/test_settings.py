"""Settings: one description for the command line, TOML files and the environment."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator
from typer.testing import CliRunner

from edge_client.simulation.settings import SimulationSettings
from shared.errors import SettingsError
from shared.settings import Settings, options_of, read_toml
from shared.training import TrainingSettings

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
finite = st.floats(allow_nan=False, allow_infinity=False)


class Kitchen(Settings):
    """A small class of every kind of field."""

    panel = "Kitchen"

    name: str = "soup"
    """What to cook."""
    salt: Annotated[float, Field(ge=0)] = 0.5
    """Grams of ``salt``."""
    guests: Annotated[int, Field(ge=1)] | None = None
    """How many come."""
    book: Path | None = None
    """Where the recipe is."""
    heat: Literal["low", "high"] = "low"
    """How hot."""
    lid: bool = True
    """With the lid on."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lid and self.heat == "high":
            raise ValueError("it boils over")
        return self


class Dinner(Kitchen):
    """Adds a part of its own."""

    panel = "Dinner"

    candles: int = 0
    """On the table."""


@given(
    st.builds(
        Kitchen,
        name=text,
        salt=finite.map(abs),
        guests=st.none() | st.integers(1, 2**62),
        book=st.none() | text.map(Path),
        heat=st.just("low"),
        lid=st.booleans(),
    )
)
def test_toml_gives_the_same_settings_back(
    tmp_path_factory: pytest.TempPathFactory, settings: Kitchen
) -> None:
    path = tmp_path_factory.mktemp("toml") / "settings.toml"
    path.write_text(settings.to_toml(), newline="")
    assert Kitchen.parse(read_toml(path)) == settings


def test_toml_of_a_simulation_gives_the_same_settings_back(tmp_path: Path) -> None:
    settings = SimulationSettings(
        corpus="ravdess", data=tmp_path / 'a "b" ß', learning_rate=1e-5, steps=3, dropout=False
    )
    path = tmp_path / "config.toml"
    path.write_text(settings.to_toml())
    assert SimulationSettings.collect({}, path) == settings


def test_the_command_line_wins_over_environment_file_preset_and_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('name = "file"\nsalt = 2\nguests = 2\n')
    monkeypatch.setenv("CHORUS_NAME", "environment")
    monkeypatch.setenv("CHORUS_SALT", "3")
    preset = {"name": "preset", "salt": 1.0, "guests": 1, "book": "preset.md"}
    found = Kitchen.collect({"name": "line", "salt": None}, config, preset)
    assert found == Kitchen(name="line", salt=3.0, guests=2, book=Path("preset.md"))


def test_a_misspelt_variable_is_remarked_on_once_and_another_commands_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHORUS_GEUSTS", "3")
    monkeypatch.setenv("CHORUS_OVEN", "hot")
    assert Kitchen.collect({}) == Kitchen.collect({}) == Kitchen()
    assert [record.getMessage() for record in caplog.records] == [
        "The environment variable CHORUS_GEUSTS is not known here; is CHORUS_GUESTS meant?"
    ]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"spoon": 1}, "There is no setting spoon; there are: name, salt"),
        ({"salt": -1}, "The setting salt = -1 is wrong: Input should be greater than"),
        ({"heat": "warm"}, "The setting heat = 'warm' is wrong: Input should be 'low' or 'high'"),
        ({"heat": "high"}, "These settings do not fit: it boils over."),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Kitchen.parse(values)
    assert caught.value.problem.startswith(sentence)


@pytest.mark.parametrize("content", [b"salt = ", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*bad\.toml"):
        Kitchen.collect({}, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no settings file .*none\.toml"):
        Kitchen.collect({}, tmp_path / "none.toml")


def test_a_part_is_taken_out() -> None:
    settings = SimulationSettings(learning_rate=0.5, batch_size=7, rounds=3)
    assert settings.part(TrainingSettings) == TrainingSettings(learning_rate=0.5, batch_size=7)


def cook(arguments: list[str]) -> tuple[int, dict[str, Any], str]:
    """Run a command with these options: exit code, what was given, what it printed."""
    seen: dict[str, Any] = {}
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @options_of(Dinner)
    def dinner(*, given: dict[str, Any], quick: bool = False) -> None:
        """Cook."""
        seen.update(given, quick=quick)

    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result.exit_code, seen, result.output


def test_each_field_is_an_option() -> None:
    line = "--name pie --salt 1.5 --guests 4 --book a.md --no-lid --heat high --candles 2 --quick"
    code, seen, _ = cook(line.split())
    assert code == 0
    assert seen == {
        "name": "pie",
        "salt": 1.5,
        "guests": 4,
        "book": Path("a.md"),
        "heat": "high",
        "lid": False,
        "candles": 2,
        "quick": True,
    }


def test_options_that_were_not_used_are_none() -> None:
    code, seen, _ = cook([])
    assert code == 0
    assert {seen[name] for name in Dinner.model_fields} == {None}


def test_an_unknown_choice_is_refused_with_what_there_is() -> None:
    code, _, output = cook(["--heat", "warm"])
    assert code == 2
    assert "low" in output
    assert "high" in output


def test_help_has_the_docstrings_and_defaults() -> None:
    code, _, output = cook(["--help"])
    assert code == 0
    assert "Grams of salt." in output
    assert "Default: 0.5." in output
    assert "--lid" in output
    assert "--no-lid" in output
