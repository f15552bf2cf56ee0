"""What joining and leaving write into a person's settings file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_client.enrolment.settling import write_settings
from shared.errors import SettingsError

FILE = """\
# Anna's device.
federation = "old"  # as Ben said
mic = true

# The machine in the attic.
[broker]
host = "attic"  # not the one in the cellar
port = 1885

[home_assistant]
host = "hub"  # another one
"""

JOINED = {
    "federation": "new",
    "client": "kitchen",
    "broker": {"host": "cellar", "tls": True},
    "offline": None,
}

LEFT = {"federation": None, "client": None, "broker": None, "offline": True}


def test_comments_of_a_settings_file_outlive_joining(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    write_settings(path, JOINED)
    assert path.read_text() == (
        'client = "kitchen"\n'
        + FILE.replace('"old"', '"new"')
        .replace('"attic"', '"cellar"')
        .replace("port = 1885", "tls = true")
    )


def test_comments_of_a_settings_file_outlive_leaving(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    write_settings(path, LEFT)
    assert path.read_text() == (
        "offline = true\n# Anna's device.\nmic = true\n\n# The machine in the attic.\n"
        '[home_assistant]\nhost = "hub"  # another one\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mic = true",
        'broker.host = "attic"\nmic = true\n',
        'broker = {host = "attic"}\r\nmic = true\r\n',
        '[home_assistant]\nhost = "hub"',
        '[broker]\nhost = "attic"\n[home_assistant]\nhost = "hub"\n[broker.more]\na = 1\n',
        '\ufeff# Anna\noffline = true\nname = "süß"\n',
    ],
)
@pytest.mark.parametrize("values", [JOINED, LEFT])
def test_however_a_file_is_written_the_settings_are_those(
    text: str, values: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text, "utf-8", newline="")
    expected = {**tomllib.loads(text.removeprefix("\ufeff")), **values}
    write_settings(path, values)
    found = tomllib.loads(path.read_text("utf-8"))
    assert found == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize("text", ["mic = ", f"mic = {200 * '['}{200 * ']'}"])
def test_a_file_that_is_no_toml_or_too_deep_stays_and_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*device\.toml"):
        write_settings(path, JOINED)
    assert path.read_text() == text


def test_a_name_that_is_no_text_is_one_sentence_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    with pytest.raises(SettingsError, match="cannot be written down"):
        write_settings(path, {"broker": {"ca": "\udcff.crt"}})
    assert path.read_text() == FILE
