"""Where the broker is and how to be let in: addresses, passwords, certificates."""

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
