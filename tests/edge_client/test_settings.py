"""The options of ``edge-client run``."""

import sys

import pytest

from edge_client import run
from edge_client.cli import main
from edge_client.settings import RunSettings, split_address


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104 - nothing is bound
        (":80", "127.0.0.1", 80),
        ("pi.local", "pi.local", 7),
        ("[::1]:80", "::1", 80),
        ("::1", "::1", 7),
        ("[::1]", "::1", 7),
    ],
)
def test_addresses_are_split(address: str, host: str, port: int) -> None:
    assert split_address(address, 7) == (host, port)


@pytest.mark.parametrize("address", ["pi:", "pi:x", "pi:65536", "pi:-1", "pi:²"])
def test_what_is_no_port_is_said(address: str) -> None:
    with pytest.raises(ValueError, match="should be HOST:PORT"):
        split_address(address, 7)


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
