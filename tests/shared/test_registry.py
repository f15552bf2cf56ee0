"""What an option names is found: ours, a package's, a module's; what is wrong is one sentence."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.registry import Registry
from tests.installed import offer


def a_number(thing: Any) -> int:
    if not isinstance(thing, int):
        raise TypeError(f"it is a {type(thing).__name__}")
    return thing


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[int]:
    """Numbers: ours, and those of a package that is installed in a folder."""
    (tmp_path / "offered.py").write_text("two = 2\nword = 'two'\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    offer(
        tmp_path,
        monkeypatch,
        "chorus.numbers",
        two="offered:two",
        word="offered:word",
        gone="nowhere:two",
        broken="broken:x",
    )
    return Registry("number", {"one": 1}, a_number)


def test_ours_and_those_of_packages_are_listed_without_being_imported(
    numbers: Registry[int],
) -> None:
    assert list(numbers) == ["one", "broken", "gone", "two", "word"]
    assert "two" in numbers
    assert "three" not in numbers


@pytest.mark.parametrize(("name", "value"), [("one", 1), ("two", 2), ("offered:two", 2)])
def test_each_is_found_by_its_name(numbers: Registry[int], name: str, value: int) -> None:
    assert numbers.get(name) == value


def test_a_module_beside_the_command_is_found(
    numbers: Registry[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "beside.py").write_text("five = 5\n")
    monkeypatch.chdir(tmp_path / "here")
    assert numbers.get("beside:five") == 5


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("three", "There is no number three; there are: one, broken, gone, two, word."),
        ("gone", "The number gone cannot be imported: ModuleNotFoundError: No module named"),
        ("broken", "The number broken cannot be imported: ZeroDivisionError"),
        ("word", "The number word is not a valid number: it is a str."),
        ("offered:nothing", "The number offered:nothing cannot be imported: AttributeError"),
        ("no such:thing", "The number no such:thing cannot be imported"),
        ("x" * 1000, "There is no number xxx"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    numbers: Registry[int], name: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        numbers.get(name)
    assert raised.value.problem.startswith(sentence)
    assert "\n" not in raised.value.problem
    assert len(raised.value.problem) < 400


def test_a_program_adds_its_own(numbers: Registry[int]) -> None:
    numbers.add("four", 4)
    assert numbers.get("four") == 4
    with pytest.raises(SettingsError, match="already"):
        numbers.add("two", 7)
    with pytest.raises(TypeError):
        numbers.add("five", "5")  # type: ignore[arg-type] # the mistake that is tested


def test_an_entry_point_is_what_the_group_says() -> None:
    assert EntryPoint("x", "y:z", "chorus.numbers").group == Registry("number", {}, a_number).group


def test_what_was_put_there_may_be_replaced_and_nothing_else(numbers: Registry[int]) -> None:
    numbers.put("three", 3)
    numbers.put("three", 33)
    assert numbers.get("three") == 33
    with pytest.raises(TypeError, match="it is a str"):
        numbers.put("three", "3")  # type: ignore[arg-type] # as people would
    assert numbers.get("three") == 33
    numbers.put("one", 1)
    for taken in ("one", "two"):
        with pytest.raises(SettingsError, match="already"):
            numbers.put(taken, 11)
    numbers.add("four", 4)
    with pytest.raises(SettingsError, match="already"):
        numbers.put("four", 44)
