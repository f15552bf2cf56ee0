"""Joining at Mosquitto, which is told of accounts while it runs, by its dynamic-security plugin."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aggregator.ledger.folder import FederationFolder
from edge_client.simulation.federation import client_name
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.topics import Topics
from tests.brokers import Mosquitto
from tests.deployed import Deployed, make_credentials, user_of
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation
from tests.peers import Peers

PLUGIN = Path("/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so")
TOPICS = Topics("chorus")

pytestmark = [
    pytest.mark.usefixtures("environment", "needs_mosquitto"),
    pytest.mark.skipif(not PLUGIN.exists(), reason="Mosquitto's plugin is missing"),
]


class Guarded(Deployed):
    """Mosquitto as it is deployed, with accounts by its plugin in place of files."""

    def __init__(self, folder: Path) -> None:
        made = make_credentials(folder, "--host", "127.0.0.1", ".")
        assert made.returncode == 0, made.stderr
        super().__init__(folder, folder)
        self.accounts = folder / "dynamic-security.json"
        password = self.settings_of("aggregator").password() or ""
        subprocess.run(
            ["mosquitto_ctrl", "dynsec", "init", self.accounts, user_of("aggregator"), password],
            check=True,
            capture_output=True,
        )
        lines = [
            line
            for line in self._file.read_text().splitlines()
            if not line.startswith(("password_file", "acl_file", "memory_limit"))
        ]
        lines += [f"plugin {PLUGIN}", f"plugin_opt_config_file {self.accounts}", ""]
        self._file.write_text("\n".join(lines))

    def users(self) -> set[str]:
        """Name those who have an account; the plugin does not write its file at once."""
        while True:
            with suppress(ValueError):
                return {one["username"] for one in json.loads(self.accounts.read_text())["clients"]}


class AtMosquitto(ByInvitation):
    """A federation by invitation at a broker that is there already."""

    def __init__(self, folder: Path, clips: Clips, broker: BrokerSettings) -> None:
        super().__init__(folder, clips)
        self.more = ("--by-invitation",)
        self.port = broker.address[1]
        self._broker = broker

    def _settings(self, name: str) -> list[str]:
        if name != "aggregator":
            return super()._settings(name)
        words = []
        if self._broker.tls:
            words += ["--tls", "--ca-file", str(self._broker.ca_file)]
        if self._broker.password_file:
            words += ["--username", str(self._broker.username)]
            words += ["--password-file", str(self._broker.password_file)]
        return words

    def invite(self, name: str, *words: str) -> str:
        return super().invite(name, "--address", "127.0.0.1", *words)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Guarded]:
    folder = tmp_path / "broker"
    folder.mkdir()
    it = Guarded(folder)
    it.start()
    yield it
    it.kill()


@pytest.fixture
def it(tmp_path: Path, clips: Clips, broker: Guarded) -> Iterator[ByInvitation]:
    with AtMosquitto(tmp_path, clips, broker.settings_of("aggregator")) as them:
        yield them


def test_devices_join_and_end_in_the_weights_of_the_simulation(
    it: ByInvitation, broker: Guarded, clips: Clips, peers: Peers
) -> None:
    it.start()
    it.wait(lambda: user_of("aggregator") in broker.users(), "it is the administrator")
    invite_when_ready(it, "mallory")
    it.all_join(DEVICES)
    joined = it.join(it.invite("mallory", "--again"), "mallory")
    assert joined.returncode == 0, joined.stderr
    folder = it.folder / "mallory" / "memberships" / "chorus"
    assert (folder / "ca.crt").read_text() == (broker.credentials / "clients/ca.crt").read_text()
    mallory = BrokerSettings(
        port=broker.port, tls=True, ca_file=folder / "ca.crt", password_file=folder / "password"
    )
    name = TOPICS.identifier("mallory")
    forbidden = peers.connect(mallory, name, TOPICS.replies("client-00000"))
    assert "does not allow" in forbidden.wait_for_change("does not allow")
    for number in range(DEVICES):
        it.run(number, it.port)
    it.finish(simulated(clips.whole))
    assert it.aggregator
    assert it.aggregator.said("The aggregator gives itself its rights at the broker, once") == 1
    peer = peers.connect(mallory, name, TOPICS.replies("mallory")).ready()
    revoked = it.command("aggregator", "revoke", "mallory", "--state", it.state.path)
    assert revoked.returncode == 0, revoked.stderr
    assert "mallory is shut out." in revoked.stderr
    assert "not told" not in revoked.stderr
    it.wait(lambda: name not in broker.users(), "its account is gone")
    assert "refuses the user" in peer.wait_for_change("refuses the user")
    assert {TOPICS.identifier(client_name(number)) for number in range(DEVICES)} < broker.users()


def test_what_was_not_told_to_a_broker_that_was_away_is_told_when_it_is_back(
    it: ByInvitation, broker: Guarded
) -> None:
    aggregator = it.start()
    link = invite_when_ready(it, "kitchen")
    assert it.join(link, "kitchen").returncode == 0
    aggregator.kill()
    revoked = it.command("aggregator", "revoke", "kitchen", "--state", it.state.path)
    assert revoked.returncode == 0, revoked.stderr
    assert "The broker was not told of it yet" in revoked.stderr
    assert TOPICS.identifier("kitchen") in broker.users()
    invited = it.command(
        "aggregator", "invite", "hall", "--address", "127.0.0.1", "--state", it.state.path
    )
    assert "The broker was not told of it yet" in invited.stderr
    link = invited.stdout.strip()
    again = it.start()
    it.wait(lambda: TOPICS.guest("hall") in broker.users(), "the broker is told")
    assert again.said("Connected to the broker")
    assert it.join(link, "hall").returncode == 0
    it.wait(lambda: TOPICS.identifier("kitchen") not in broker.users(), "it is shut out")


def test_one_that_starts_with_another_folder_takes_no_account_away(
    it: ByInvitation, broker: Guarded
) -> None:
    aggregator = it.start()
    assert it.join(invite_when_ready(it, "kitchen"), "kitchen").returncode == 0
    aggregator.kill()
    it.state = FederationFolder(it.folder / "typo")
    wrong = it.start()
    it.wait(lambda: wrong.said("not in this list of members"), "it says so")
    assert wrong.said(TOPICS.identifier("kitchen"))
    assert it.join(invite_when_ready(it, "hall"), "hall").returncode == 0
    assert TOPICS.identifier("kitchen") in broker.users()


def test_an_aggregator_that_starts_again_throws_nobody_out(
    it: ByInvitation, broker: Guarded, peers: Peers
) -> None:
    it.start()
    assert it.join(invite_when_ready(it, "kitchen"), "kitchen").returncode == 0
    folder = it.folder / "kitchen" / "memberships" / "chorus"
    settings = BrokerSettings(
        port=broker.port, tls=True, ca_file=folder / "ca.crt", password_file=folder / "password"
    )
    peer = peers.connect(settings, TOPICS.identifier("kitchen"), TOPICS.round).ready()
    assert it.aggregator
    it.aggregator.kill()
    it.start()
    invite_when_ready(it, "hall")
    assert it.join(it.invite("hall"), "hall").returncode == 0
    assert [connected for connected, _ in peer.changes] == [True]


def test_a_broker_without_the_plugin_is_said_to_have_none(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with AtMosquitto(tmp_path, clips, mosquitto.settings) as it:
        aggregator = it.start()
        it.wait(lambda: aggregator.said("does not let this aggregator make accounts"), "it says so")
        refused = it.command("aggregator", "invite", "kitchen", "--state", it.state.path)
    assert refused.returncode == 18
    assert "no dynamic-security plugin" in " ".join(refused.stderr.split())


def invite_when_ready(it: ByInvitation, name: str) -> str:
    """Invite a device as soon as the broker has said that it takes accounts."""
    words = ("aggregator", "invite", name, "--address", "127.0.0.1", "--state", it.state.path)
    made = []

    def invited() -> bool:
        made.append(it.command(*words))
        return made[-1].returncode == 0

    it.wait(invited, "the plugin has answered")
    return made[-1].stdout.strip()
