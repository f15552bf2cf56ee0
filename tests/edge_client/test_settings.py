"""The options of ``edge-client run``."""

import os
import sys
from pathlib import Path

import pytest

from edge_client import run
from edge_client.cli import main
from edge_client.federation.settings import name_of_clips
from edge_client.settings import HomeAssistantSettings, RunSettings
from shared.errors import SettingsError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.topics import is_name
from shared.settings import places


@pytest.mark.parametrize(
    ("options", "web"),
    [
        ("--mic", None),
        ("--mic --web", "127.0.0.1:8765"),
        ("--web --mic --offline", "127.0.0.1:8765"),
        ("--mic --web 0.0.0.0:1", "0.0.0.0:1"),
    ],
)
def test_web_may_stand_alone(
    options: str, web: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[RunSettings] = []
    monkeypatch.setattr(run, "run_device", ran.append)
    monkeypatch.setattr(sys, "argv", ["edge-client", "run", *options.split()])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert [settings.web for settings in ran] == [web]


def test_a_command_without_options_takes_its_settings_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[RunSettings] = []
    monkeypatch.setattr(run, "run_device", ran.append)
    monkeypatch.setattr(sys, "argv", ["edge-client", "run"])
    monkeypatch.setenv("CHORUS_EDGE_MIC", "true")
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert [settings.mic for settings in ran] == [True]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"client": "Küche"}, "a name has 1 to 64 small letters, digits and hyphens"),
        ({"client": "a\n"}, "a name has 1 to 64 small letters, digits and hyphens"),
        ({"federation": "-a"}, "does not begin with a hyphen"),
        ({"train_between": "22-6"}, "it should be two times of the day, such as 22:00-06:30"),
        ({"leave_after": "two"}, "it should be a whole number.$"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_ours(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        RunSettings.parse({"mic": True, **values})


NEW = """
client = "kitchen"

[broker]
host = "hub.local"
port = 8884
tls = true
ca_file = "/etc/chorus/ca.crt"
password_file = "/etc/chorus/password"

[home_assistant]
host = "home.local:1884"
username = "chorus"
password_file = "/etc/chorus/home"
"""

OLD = """
client = "kitchen"
broker = "hub.local"
port = 8884
tls = true
ca_file = "/etc/chorus/ca.crt"
password_file = "/etc/chorus/password"
home_assistant = "home.local:1884"
home_assistant_username = "chorus"
home_assistant_password_file = "/etc/chorus/home"
"""


@pytest.mark.parametrize("toml", [NEW, OLD], ids=["tables", "as the version before had it"])
def test_both_brokers_are_told_of_in_the_settings_file(tmp_path: Path, toml: str) -> None:
    config = tmp_path / "edge-client.toml"
    config.write_text(toml)
    found = RunSettings.collect({"mic": True}, config)
    assert found.broker == BrokerSettings(
        host="hub.local",
        port=8884,
        tls=True,
        ca_file=Path("/etc/chorus/ca.crt"),
        password_file=Path("/etc/chorus/password"),
    )
    home = found.home_assistant
    assert isinstance(home, BrokerSettings)
    assert home.address == ("home.local", 1884)
    assert (home.username, home.password_file) == ("chorus", Path("/etc/chorus/home"))


def test_options_of_both_brokers_have_the_names_they_had() -> None:
    known = places(RunSettings)
    assert {"broker", "port", "username", "password_file", "tls", "ca_file", "keepalive"} < {*known}
    home = ("", "_username", "_password_file", "_tls", "_ca_file")
    assert {f"home_assistant{name}" for name in home} < {*known}
    found = RunSettings.collect({"mic": True, "home_assistant": "home", "broker": "hub:99"})
    assert found.home_assistant == HomeAssistantSettings(host="home")
    assert found.broker.address == ("hub", 99)


def test_home_assistant_is_asked_for_by_its_broker_s_host() -> None:
    assert RunSettings(mic=True).home_assistant is None
    with pytest.raises(SettingsError, match=r"home_assistant\.host is missing"):
        RunSettings.collect({"mic": True, "home_assistant_tls": True})


def test_the_file_in_the_documents_is_taken_without_a_remark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    config = tmp_path / "edge-client.toml"
    config.write_text(page.split("```toml\n")[1].split("```")[0])
    found = RunSettings.collect({"mic": True}, config)
    assert found.broker.host == "hub.local"
    assert found.home_assistant is not None
    assert found.home_assistant.address == ("homeassistant.local", 1883)
    assert not caplog.records


def test_no_device_is_called_as_its_aggregator() -> None:
    values = {"mic": True, "client": "kitchen-aggregator"}
    assert RunSettings.parse(values).name == "kitchen-aggregator"
    with pytest.raises(SettingsError, match="a device cannot be called kitchen-aggregator"):
        RunSettings.parse({**values, "federation": "kitchen"})


@pytest.mark.parametrize(
    "pair",
    [
        ("Анна", "Борис"),
        ("anna.1", "anna.2"),
        ("Müller", "Möller"),
        ("Anna", "anna"),
        ("a b", "a_b"),
        (60 * "x" + "1", 60 * "x" + "2"),
    ],
)
def test_clips_of_other_names_are_other_devices(pair: tuple[str, str]) -> None:
    one, other = (name_of_clips("pi", name) for name in pair)
    assert one != other
    assert is_name(one)
    assert is_name(other)
    assert name_of_clips("pi", pair[0]) == one, "it is the same device each time"


def test_clips_of_a_plain_name_give_it_to_their_device() -> None:
    assert name_of_clips("pi", "anna-1") == "pi-anna-1"


def test_what_is_no_text_is_no_setting() -> None:
    odd = os.fsdecode(b"M\xfcller")
    with pytest.raises(SettingsError, match=r"speaker = 'M.*it is not text in UTF-8"):
        RunSettings.parse({"mic": True, "speaker": odd})
    settings = RunSettings.parse({"mic": True, "state": odd})
    assert settings.state == Path(odd)
    with pytest.raises(SettingsError, match="cannot be written down"):
        settings.to_toml()
