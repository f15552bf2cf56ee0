"""Where the broker is and how to be let in: addresses, passwords, certificates."""

import os
from pathlib import Path

import pytest

from shared.errors import BrokerError, SettingsError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection


def test_settings_give_the_port_and_check_what_belongs_together(tmp_path: Path) -> None:
    assert BrokerSettings().address == ("127.0.0.1", 1883)
    assert BrokerSettings(tls=True).address == ("127.0.0.1", 8883)
    for wrong in ({"ca_file": "x"}, {"username": "x"}, {"tls": True, "key_file": "x"}):
        with pytest.raises(SettingsError):
            BrokerSettings.parse(wrong)
    for host, address in (
        ("hub:99", ("hub", 99)),
        ("[::1]:99", ("::1", 99)),
        ("::1", ("::1", 1883)),
    ):
        assert BrokerSettings(host=host).address == address
    for host, said in (("hub:x", "HOST:PORT"), ("hub:0", "port = 0"), ("", "host")):
        with pytest.raises(SettingsError, match=said):
            BrokerSettings.parse({"host": host})
    with pytest.raises(SettingsError, match="the port is given twice"):
        BrokerSettings.parse({"host": "hub:99", "port": 98})
    secret = tmp_path / "password"
    secret.write_text("open sesame\r\n")
    assert BrokerSettings(password_file=secret).password() == "open sesame"


@pytest.mark.parametrize(
    ("host", "address", "transport", "tls", "path"),
    [
        ("mqtt://hub", ("hub", 1883), "tcp", False, "/mqtt"),
        ("mqtts://hub", ("hub", 8883), "tcp", True, "/mqtt"),
        ("MQTTS://hub:99", ("hub", 99), "tcp", True, "/mqtt"),
        ("mqtt://[::1]:99/", ("::1", 99), "tcp", False, "/mqtt"),
        ("ws://hub", ("hub", 80), "websockets", False, "/mqtt"),
        ("wss://hub", ("hub", 443), "websockets", True, "/mqtt"),
        ("wss://hub:99/a/b?c", ("hub", 99), "websockets", True, "/a/b?c"),
    ],
)
def test_an_address_may_say_transport_and_tls(
    *, host: str, address: tuple[str, int], transport: str, tls: bool, path: str
) -> None:
    settings = BrokerSettings.parse({"host": host})
    assert settings.address == address
    assert (settings.transport, settings.tls, settings.path) == (transport, tls, path)


def test_a_transport_by_itself_is_enough() -> None:
    settings = BrokerSettings.parse({"host": "hub", "transport": "websockets"})
    assert settings.address == ("hub", 80)
    assert BrokerSettings.parse({"host": "mqtts://hub", "tls": "true", "port": 9}).tls


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"host": "http://hub"}, "should begin with mqtt://, mqtts://, ws://, wss://"),
        ({"host": "mqtt://anna:secret@hub"}, "a password in a file"),
        ({"host": "mqtt://hub/path"}, "only websockets have"),
        ({"host": "mqtt://hub:x"}, "HOST:PORT"),
        ({"host": "ws://"}, "names no host"),
        ({"host": "mqtt://:1883"}, "names no host"),
        ({"host": "ws://hub:9", "port": 8}, "the port is given twice"),
        ({"host": "mqtts://hub", "tls": False}, "contradicts tls = false"),
        ({"host": "ws://hub", "transport": "tcp"}, "contradicts transport = "),
        ({"host": "hub", "path": "no/slash"}, "path"),
        ({"transport": "udp"}, "transport = 'udp'"),
    ],
)
def test_an_address_that_contradicts_itself_is_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        BrokerSettings.parse(values)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_password_file_without_a_password(tmp_path: Path, content: bytes | None) -> None:
    secret = tmp_path / "password"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(BrokerError, match="password"):
        Connection(
            BrokerSettings(password_file=secret),
            "device",
            subscriptions=[],
            on_message=lambda *_: None,
            on_change=lambda *_: None,
        ).start()


def test_a_pipe_for_a_password_or_a_certificate_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    with pytest.raises(BrokerError, match="it is a pipe"):
        BrokerSettings(password_file=pipe).password()
    for given in ({"ca_file": pipe}, {"certificate_file": pipe}, {"key_file": pipe}):
        with pytest.raises(BrokerError, match="it is a pipe"):
            BrokerSettings.parse(
                {"tls": True, "certificate_file": pipe.parent, **given}
            ).tls_context()


def test_certificates_that_are_none(tmp_path: Path) -> None:
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    for settings in (
        BrokerSettings(tls=True, ca_file=no_pem),
        BrokerSettings(tls=True, ca_file=tmp_path / "missing"),
        BrokerSettings(tls=True, certificate_file=no_pem),
    ):
        with pytest.raises(BrokerError, match="Cannot use"):
            settings.tls_context()
