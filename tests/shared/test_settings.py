"""Settings: one description for the command line, TOML files and the environment."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.simulation.settings import SimulationSettings
from shared.environment import remark_once
from shared.errors import SettingsError
from shared.settings import places
from shared.settings_file import read_toml
from shared.training import TrainingSettings
from tests.shared.dinner import Bakery, Dinner, Kitchen, Shop, cook

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
finite = st.floats(allow_nan=False, allow_infinity=False)


kitchens = st.builds(
    Kitchen,
    name=text,
    salt=finite.map(abs),
    guests=st.none() | st.integers(1, 2**62),
    # No path holds a zero character, and no command line carries one.
    book=st.none() | text.filter(lambda name: "\0" not in name).map(Path),
    heat=st.just("low"),
    lid=st.booleans(),
)


@given(kitchens)
def test_toml_gives_the_same_settings_back(
    tmp_path_factory: pytest.TempPathFactory, settings: Kitchen
) -> None:
    path = tmp_path_factory.mktemp("toml") / "settings.toml"
    path.write_text(settings.to_toml(), newline="")
    assert Kitchen.parse(read_toml(path)) == settings


@given(kitchens)
def test_a_command_line_gives_the_same_settings_back(settings: Kitchen) -> None:
    code, seen, printed = cook(shlex.split(settings.to_options()))
    assert code == 0, printed
    given = {name: seen[name] for name in Kitchen.model_fields if seen[name] is not None}
    assert Kitchen.parse(given) == settings


@given(
    st.builds(
        Dinner,
        drinks=st.lists(text.filter(lambda name: name.strip() == name and "," not in name)),
        shop=st.builds(Shop, street=text.filter("Closed".__ne__), open_at=st.integers(0, 23)),
        bakery=st.none() | st.builds(Bakery, street=text.filter("Closed".__ne__)),
    )
)
def test_toml_gives_tables_and_lists_back(
    tmp_path_factory: pytest.TempPathFactory, settings: Dinner
) -> None:
    path = tmp_path_factory.mktemp("toml") / "settings.toml"
    path.write_text(settings.to_toml(), newline="")
    assert Dinner.collect({}, path) == settings


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
    monkeypatch.setenv("CHORUS_EDGE_NAME", "environment")
    monkeypatch.setenv("CHORUS_EDGE_SALT", "3")
    preset = {"name": "preset", "salt": 1.0, "guests": 1, "book": "preset.md"}
    found = Kitchen.collect({"name": "line", "salt": None}, config, preset)
    assert found == Kitchen(name="line", salt=3.0, guests=2, book=Path("preset.md"))


def test_a_misspelt_variable_is_remarked_on_once_and_another_commands_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHORUS_EDGE_GEUSTS", "3")
    monkeypatch.setenv("CHORUS_EDGE_OVEN", "hot")
    assert Kitchen.collect({}) == Kitchen.collect({}) == Kitchen()
    (remark,) = [record.getMessage() for record in caplog.records]
    assert "CHORUS_EDGE_GEUSTS is not known here; is CHORUS_EDGE_GUESTS meant?" in remark


@pytest.fixture
def remarks(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was remarked on in this test, whatever was said before in this process."""
    remark_once.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_table_s_settings_are_options_and_variables_under_one_name_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remarks: Callable[[], list[str]]
) -> None:
    assert {"shop", "open_at", "bakery", "bakery_open_at"} < places(Dinner).keys()
    config = tmp_path / "dinner.toml"
    config.write_text('drinks = ["tea"]\n[shop]\nstreet = "File"\nopen_at = 7\n')
    monkeypatch.setenv("CHORUS_EDGE_OPEN_AT", "8")
    monkeypatch.setenv("CHORUS_EDGE_BAKERY", "Mill")
    monkeypatch.setenv("CHORUS_EDGE_BAKERY_OPEN_AT", "5")
    monkeypatch.setenv("CHORUS_EDGE_DRINKS", "tea, milk")
    found = Dinner.collect({"bakery_open_at": 6, "shop": None}, config)
    assert found.shop == Shop(street="File", open_at=8)
    assert found.bakery == Bakery(street="Mill", open_at=6)
    assert found.drinks == ("tea", "milk")
    assert Dinner.collect({"shop": "Line"}, config).shop.street == "Line"
    assert remarks() == []


def test_keys_of_the_version_before_are_taken_with_one_remark_a_file(
    tmp_path: Path, remarks: Callable[[], list[str]]
) -> None:
    config = tmp_path / "dinner.toml"
    config.write_text(
        'drinks = "tea, milk"\nshop = "Old"\nopen_at = 7\n'
        'bakery = "Mill"\nbakery_open_at = 5\ncandles = 2\n'
    )
    found = Dinner.collect({}, config)
    assert found == Dinner.collect({}, config)
    assert found.shop == Shop(street="Old", open_at=7)
    assert found.bakery == Bakery(street="Mill", open_at=5)
    assert (found.drinks, found.candles) == (("tea", "milk"), 2)
    (remark,) = remarks()
    for new in (
        str(config),
        'drinks = ["tea", "milk"]',
        "shop is street in [shop]",
        "open_at is open_at in [shop]",
        "bakery_open_at is open_at in [bakery]",
    ):
        assert new in remark


def test_a_key_in_its_table_wins_over_one_where_it_was_before(tmp_path: Path) -> None:
    config = tmp_path / "dinner.toml"
    config.write_text("open_at = 7\n[shop]\nopen_at = 8\n")
    assert Dinner.collect({}, config).shop.open_at == 8


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[shop]\ndoor = 1", "There is no setting shop.door; there are: street, open_at."),
        (
            "[shop]\nopen_at = 24",
            "The setting shop.open_at = 24 is wrong: it should be at most 23.",
        ),
        ('shop = "Closed"\nopen_at = 1', "The settings in [shop] do not fit: it never opens."),
        ("[bakery]\nopen_at = 1", "The setting bakery.street is missing."),
        ("[[shop]]", "The setting shop.street = [{}] is wrong: it should be text."),
        ("[candles]", "The setting candles = {} is wrong: it should be a whole number."),
        ("[open_at]", "There is no setting open_at."),
        ("drinks = 3", "The setting drinks = 3 is wrong: it should be a list."),
    ],
)
def test_a_wrong_setting_in_a_table_is_named(tmp_path: Path, toml: str, sentence: str) -> None:
    config = tmp_path / "dinner.toml"
    config.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        Dinner.collect({}, config)
    assert caught.value.problem.startswith(sentence)


def test_a_file_may_hold_a_larger_command_s_settings(tmp_path: Path) -> None:
    config = tmp_path / "dinner.toml"
    config.write_text('name = "pie"\nsalt = 2\nshop = "Old"\n[bakery]\nstreet = "Mill"\n')
    assert Kitchen.collect_part({"salt": 3}, config) == Kitchen(name="pie", salt=3)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    config = tmp_path / "kitchen.toml"
    config.write_bytes('name = "süß"\n'.encode("utf-8-sig"))
    assert Kitchen.collect({}, config).name == "süß"


def test_the_home_folder_is_put_in_wherever_a_path_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    book = Path("/home/ada/book.md")
    config = tmp_path / "kitchen.toml"
    config.write_text('book = "~/book.md"')
    assert Kitchen.collect({}, config).book == book
    assert Kitchen.collect({"book": Path("~/book.md")}).book == book
    assert Kitchen(book=Path("~/book.md")).book == book
    monkeypatch.setenv("CHORUS_EDGE_BOOK", "~/book.md")
    assert Kitchen.collect({}).book == book
    nobody = Path("~nobody-of-this-name")
    assert Kitchen(book=nobody).book == nobody


@pytest.mark.parametrize("door", ["file", "environment", "line"])
def test_a_setting_that_is_gone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    config = tmp_path / "kitchen.toml"
    config.write_text('stove = "gas"' if door == "file" else "")
    if door == "environment":
        monkeypatch.setenv("CHORUS_STOVE", "gas")
    given = {"stove": "gas" if door == "line" else None}
    for collect in (Kitchen.collect, Kitchen.collect_part):
        with pytest.raises(SettingsError, match="setting stove no longer exists") as caught:
            collect(given, config)
        assert caught.value.remedy == "Induction it is now."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"spoon": 1}, "There is no setting spoon; there are: name, salt"),
        ({"salt": -1}, "The setting salt = -1 is wrong: it should be at least 0."),
        ({"guests": True}, "The setting guests = True is wrong: it should be a number."),
        (
            {"book": "a\0b"},
            "The setting book = 'a\\x00b' is wrong: no file's name holds a zero byte.",
        ),
        ({"heat": "warm"}, "The setting heat = 'warm' is wrong: it should be 'low' or 'high'."),
        ({"heat": "high"}, "These settings do not fit: it boils over."),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Kitchen.parse(values)
    assert caught.value.problem.startswith(sentence)


def test_the_nearest_of_many_settings_are_named_and_where_all_are() -> None:
    with pytest.raises(SettingsError) as caught:
        SimulationSettings.parse({"learning-rate": 1})
    assert caught.value.problem == (
        "There is no setting learning-rate; is learning_rate or server_learning_rate meant?"
    )
    assert "--help" in caught.value.remedy
    with pytest.raises(SettingsError) as caught:
        SimulationSettings.parse({"x" * 10_000: 1})
    assert len(caught.value.message) < 400


def test_of_a_long_wrong_value_only_the_beginning_is_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Kitchen.parse({"salt": "x" * 10_000})
    assert len(caught.value.problem) < 400


@pytest.mark.parametrize(
    "content", [b"salt = ", b"\xff\xfe", b"salt = " + b"[" * 5000, b"#" * 2_000_000]
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*bad\.toml"):
        Kitchen.collect({}, path)


def test_a_settings_file_that_is_no_text_or_a_folder_is_named_in_our_words(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.toml"
    damaged.write_bytes(b"\xdc\xff")
    with pytest.raises(SettingsError, match=r"damaged\.toml: it is no text\.$"):
        read_toml(damaged)
    with pytest.raises(SettingsError, match=r": Is a directory\.$"):
        read_toml(tmp_path)
    with pytest.raises(SettingsError, match=r"/dev/zero: it has more than 1048576 letters\.$"):
        read_toml(Path("/dev/zero"))
    os.mkfifo(pipe := tmp_path / "pipe.toml")
    with pytest.raises(SettingsError, match=r"pipe\.toml: it is a pipe\.$"):
        read_toml(pipe)


@pytest.mark.parametrize("number", ["1" * 5000, "0x" + "f" * 9000, "-9999999999999999999"])
@pytest.mark.parametrize("toml", ["salt = {}", "[[runs]]\nsalt = [1, {}]"])
def test_a_number_beyond_those_of_toml_is_named(tmp_path: Path, toml: str, number: str) -> None:
    path = tmp_path / "large.toml"
    path.write_text(toml.format(number))
    with pytest.raises(SettingsError, match=r"large\.toml: a whole number in it is beyond 92"):
        Kitchen.collect({}, path)


def test_settings_may_be_what_a_command_of_the_shell_gives() -> None:
    read, write = os.pipe()
    with os.fdopen(read):
        os.write(write, b"salt = 3")
        os.close(write)
        assert read_toml(Path(f"/dev/fd/{read}")) == {"salt": 3}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no settings file .*none\.toml"):
        Kitchen.collect({}, tmp_path / "none.toml")


def test_a_part_is_taken_out() -> None:
    settings = SimulationSettings(learning_rate=0.5, batch_size=7, rounds=3)
    assert settings.part(TrainingSettings) == TrainingSettings(learning_rate=0.5, batch_size=7)
