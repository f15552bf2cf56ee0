"""Settings as options of a command."""

from pathlib import Path

from shared.settings import places
from tests.shared.dinner import Dinner, cook


def test_each_field_is_an_option() -> None:
    line = "--name pie --salt 1.5 --guests 4 --book a.md --no-lid --heat high --candles 2 --quick"
    code, seen, _ = cook(line.split())
    assert code == 0
    assert {name: value for name, value in seen.items() if value is not None} == {
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
    assert {seen[name] for name in (*places(Dinner), "stove")} == {None}


def test_a_list_is_repeated_or_separated_by_commas() -> None:
    for line in ("--drinks tea --drinks milk", "--drinks tea,milk"):
        code, seen, _ = cook(line.split())
        assert code == 0
        assert Dinner.collect({"drinks": seen["drinks"]}).drinks == ("tea", "milk")


def test_tables_are_options_too() -> None:
    line = "--shop Market --open-at 8 --bakery-open-at 6 --stove gas"
    code, seen, _ = cook(line.split())
    assert code == 0
    used = {name: value for name, value in seen.items() if value}
    assert used == {"shop": "Market", "open_at": 8, "bakery_open_at": 6, "stove": "gas"}


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
    assert "Default: water,wine." in output
    assert "Where bread is." in output
    assert "stove" not in output
