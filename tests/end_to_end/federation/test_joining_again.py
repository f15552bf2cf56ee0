"""What joining writes and says: with settings that are there, again, beside a running device."""

import io
import os
import pwd
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edge_client.device.state import DeviceFolder
from edge_client.enrolment.settling import Host
from edge_client.federation.settings import FederationSettings
from edge_client.federation.taking_part import as_member
from edge_client.join import join_and_start
from edge_client.settings import RunSettings
from edge_client.simulation.federation import client_name
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.joining import ByInvitation, key_of

pytestmark = pytest.mark.usefixtures("environment")

TRUST = 20


@pytest.fixture
def it(tmp_path: Path, clips: Clips) -> Iterator[ByInvitation]:
    with ByInvitation(tmp_path, clips) as them:
        yield them


@pytest.mark.parametrize("gone", ["key.pem", "password"])
def test_a_link_makes_no_member_again_of_a_device_that_has_lost(
    gone: str, it: ByInvitation
) -> None:
    it.start()
    link = it.invite("kitchen")
    assert it.join(link, "kitchen").returncode == 0
    (it.folder / "kitchen" / "memberships" / "chorus" / gone).unlink()
    again = it.join(link, "kitchen")
    assert again.returncode == TRUST, again.stderr
    assert it.join(it.invite("kitchen", "--again"), "kitchen").returncode == 0


def test_what_can_be_refused_is_refused_before_the_link_is_used(it: ByInvitation) -> None:
    it.start()
    state, link = it.folder / "kitchen", it.invite("kitchen")
    config = it.folder / "kitchen.toml"
    config.write_text("mic = ")
    for words in (("--web", "0.0.0.0:x"), ("--config", config), ("--config", it.folder)):
        refused = it.join(link, "kitchen", *map(str, words))
        assert refused.returncode == 2, refused.stderr
        assert len(refused.stderr.strip().splitlines()) <= 2, "a sentence and a remedy"
    assert key_of(it, "kitchen") is None
    assert not (state / "memberships" / "chorus").exists()
    assert it.join(link, "kitchen").returncode == 0


def test_who_joins_again_leaves_the_page_where_it_is(it: ByInvitation) -> None:
    it.start()
    link, config = it.invite("kitchen"), it.folder / "kitchen.toml"
    config.write_text('web = "127.0.0.1:36900"  # nobody else\n')
    for words, page in (
        ((), "127.0.0.1:36900"),
        (("--web", "127.0.0.1:36901"), "127.0.0.1:36901"),
        ((), "127.0.0.1:36901"),
        (("--no-page",), None),
    ):
        joined = it.join(link, "kitchen", "--config", str(config), *words)
        assert joined.returncode == 0, joined.stderr
        assert tomllib.loads(config.read_text()).get("web") == page
        assert (f"http://{page}/" in joined.stderr) == bool(page)


@pytest.mark.parametrize("place", ["service", "own", "default", "settings"])
def test_the_command_that_is_printed_starts_the_member(
    place: str, it: ByInvitation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.start()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    nowhere = tmp_path / "nowhere"
    host = Host(nowhere, tmp_path / "the state", tmp_path / "the device.toml", systemd=nowhere)
    state = tmp_path / "anna's state" if place == "own" else None
    config = None
    if place == "service":
        if os.geteuid() != 0:
            pytest.skip("only root installs a service")
        host = replace(host, unit=tmp_path, user=pwd.getpwuid(os.geteuid()).pw_name)
    if place == "settings":
        config = tmp_path / "of mine.toml"
        config.write_text(f'state = "{tmp_path}/of another"\n')
    said = io.StringIO()
    monkeypatch.setattr("edge_client.join.progress_console", lambda: Console(file=said))
    join_and_start(it.invite("kitchen"), state, config, None, page=False, host=host)
    line = next(line for line in said.getvalue().splitlines() if "edge-client run" in line)
    words = shlex.split(line.partition(" with: ")[2])
    assert words[:3] == ["edge-client", "run", "--mic"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert ("--state" in options) == (place != "default")
    given = {name.removeprefix("--"): Path(value) for name, value in options.items()}
    settings = RunSettings.collect({"mic": True, "state": given.get("state")}, given["config"])
    _, membership = as_member(settings.part(FederationSettings), DeviceFolder(settings.folder))
    assert membership
    assert membership.joined.name == "kitchen"


def test_who_joins_again_while_the_device_runs_is_told_to_start_it_anew(
    it: ByInvitation,
) -> None:
    it.start()
    it.all_join(1)
    device, name = it.run(0, it.port), client_name(0)
    it.wait(lambda: device.said("Connected to the broker"), "the device runs")
    link = it.invite(name, "--again")
    joined = it.join(link, name, "--no-page")
    assert joined.returncode == 0, joined.stderr
    told = f"A device runs with {it.folder / name} and knows nothing of this yet. End it, and start"
    assert told in joined.stderr
    device.kill()
    again = it.join(link, name, "--no-page")
    assert "No service was started for it. Start the device with: " in again.stderr
