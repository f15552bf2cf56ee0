"""A real Mosquitto with the configuration and the credentials of ``deploy/mosquitto``."""

import resource
import socket
import ssl
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from shared.errors import BrokerError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.troubles import unreachable
from shared.protocol.topics import Topics
from tests.brokers import BOUND, Mosquitto, leave_out_without_mosquitto, wait_until
from tests.deploy.conftest import FEDERATION
from tests.deployed import Deployed, make_credentials, user_of
from tests.peers import Peers

TOPICS = Topics(FEDERATION)


lets_go_of_its_socket = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
"""paho-mqtt leaves the socket of a handshake that failed to the garbage collector."""


def test_a_federation_can_speak_and_its_devices_are_kept_apart(
    deployed: Deployed, peers: Peers
) -> None:
    # The aggregator hears what itself announces, to notice what somebody else does, and whether the
    # broker lets its chunks through.
    everything = ("chorus/#", "+/+/+/+/+")
    server, kitchen, desk = (
        peers.connect(deployed.settings_of(name), name, *everything).ready()
        for name in ("aggregator", "kitchen", "desk")
    )
    allowed = [
        (server, TOPICS.round, {"aggregator", "kitchen", "desk"}),
        (server, TOPICS.model("00" * 32), {"aggregator", "kitchen", "desk"}),
        (server, TOPICS.replies("desk"), {"desk"}),
        (desk, TOPICS.presence("desk"), {"aggregator"}),
        (desk, TOPICS.requests("desk"), {"aggregator"}),
        (desk, TOPICS.chunks("desk"), {"aggregator"}),
    ]
    foreign = [
        (kitchen, TOPICS.round),
        (kitchen, TOPICS.model("00" * 32)),
        (kitchen, TOPICS.replies("desk")),
        (kitchen, TOPICS.replies("kitchen")),
        (kitchen, TOPICS.presence("desk")),
        (kitchen, TOPICS.requests("desk")),
        (kitchen, TOPICS.chunks("desk")),
        (kitchen, "chorus/home/clients/kitchen/other"),
        (kitchen, Topics("other").presence("kitchen")),
        (kitchen, Topics("chorus").requests("kitchen")),
        (kitchen, "other"),
        (kitchen, "$SYS/broker/version"),
        (server, TOPICS.chunks("desk")),
        (server, "other"),
    ]
    for sender, topic in foreign:
        assert sender.connection.publish(topic, b"forbidden", retain=True)
    for sender, topic, _ in allowed:
        assert sender.connection.publish(topic, b"allowed")
    # Per sender all comes in order, so after these nothing forbidden is still on its way.
    assert kitchen.connection.publish(TOPICS.requests("kitchen"), b"end")
    assert server.connection.publish(TOPICS.round, b"end")
    wait_until(lambda: (TOPICS.requests("kitchen"), b"end") in server.messages, "kitchen's end")
    for peer in (server, kitchen, desk):
        wait_until(lambda seen=peer: (TOPICS.round, b"end") in seen.messages, "the server's end")  # type: ignore[misc] # bound now
    desk.connection.close()
    # One message comes twice where both subscriptions are of it.
    of_desk = {(topic, b"allowed") for sender, topic, _ in allowed if sender is desk}
    wait_until(lambda: of_desk <= set(server.messages), "the server has all of the desk's")
    for peer in (server, kitchen, desk):
        name = peer.connection.name
        got = sorted({topic for topic, payload in peer.messages if payload != b"end"})
        assert got == sorted(topic for _, topic, readers in allowed if name in readers), name
        assert all(payload != b"forbidden" for _, payload in peer.messages)


def test_chunks_pass_whole_over_tls(deployed: Deployed, peers: Peers) -> None:
    server = peers.connect(
        deployed.settings_of("aggregator"), "aggregator", TOPICS.chunks("desk")
    ).ready()
    model = TOPICS.model("00" * 32)
    desk = peers.connect(deployed.settings_of("desk"), "desk", model).ready()
    chunks = [number.to_bytes(2) * (1 << 15) for number in range(150)]
    for chunk in chunks:
        assert desk.connection.publish(TOPICS.chunks("desk"), chunk, qos=0)
        assert server.connection.publish(model, chunk)
    for peer in (server, desk):
        peer.wait_for(len(chunks))
        assert [payload for _, payload in peer.messages] == chunks


def test_a_connection_over_tls_begins_anew_with_other_subscriptions(
    deployed: Deployed, peers: Peers
) -> None:
    wide, narrow = TOPICS.requests("+"), TOPICS.requests("kitchen")
    aggregator = peers.connect(deployed.settings_of("aggregator"), "aggregator", wide).ready()
    kitchen = peers.connect(deployed.settings_of("kitchen"), "kitchen").ready()
    desk = peers.connect(deployed.settings_of("desk"), "desk").ready()
    aggregator.connection.begin_anew({narrow: 1})
    aggregator.wait_for_change("is made anew")
    wait_until(lambda: len(aggregator.changes) == 3, "it is back")
    desk.connection.publish(TOPICS.requests("desk"), b"not heard")
    wait_until(lambda: not desk.connection.busy, "the broker has it, and nobody to give it to")
    kitchen.connection.publish(narrow, b"heard")
    aggregator.wait_for(1)
    aggregator.connection.subscribe(TOPICS.requests("desk"))
    desk.connection.publish(TOPICS.requests("desk"), b"heard, too", retain=True)
    aggregator.wait_for(2)
    assert [payload for _, payload in aggregator.messages] == [b"heard", b"heard, too"]


def test_nobody_comes_in_without_a_password_or_with_anothers(
    deployed: Deployed, peers: Peers
) -> None:
    desk = deployed.settings_of("desk")
    cases = {
        "anonymous": desk.model_copy(update={"password_file": None, "username": None}),
        "kitchen": desk.model_copy(update={"username": user_of("kitchen", FEDERATION)}),
        "nobody": desk.model_copy(update={"username": "nobody"}),
    }
    for name, settings in cases.items():
        peer = peers.connect(settings, name)
        peer.wait_for_change("refuses")
        assert isinstance(peer.connection.refused, BrokerError)
        assert "--password-file" in peer.connection.refused.remedy


def test_a_device_cannot_take_anothers_place(deployed: Deployed, peers: Peers) -> None:
    kitchen = peers.connect(deployed.settings_of("kitchen"), "kitchen").ready()
    claims = deployed.settings_of("desk")
    peers.connect(claims, "kitchen", identifier=TOPICS.identifier("kitchen")).ready()
    assert kitchen.connection.publish(TOPICS.requests("kitchen"), b"")
    assert [connected for connected, _ in kitchen.changes] == [True]


@lets_go_of_its_socket
def test_a_certificate_that_does_not_fit_is_final_and_says_why(
    deployed: Deployed, peers: Peers
) -> None:
    good = deployed.settings_of("desk")
    of_the_system = peers.connect(good.model_copy(update={"ca_file": None}), "desk")
    assert "--ca-file" in of_the_system.wait_for_change("is not accepted")
    other_name = peers.connect(good.model_copy(update={"host": "localhost"}), "desk")
    assert "--broker" in other_name.wait_for_change("localhost")
    for peer in (of_the_system, other_name):
        assert peer.connection.refused


@lets_go_of_its_socket
def test_a_certificate_of_another_time_is_waited_for(deployed: Deployed) -> None:
    # What Python raises on a machine whose clock stands at the year 1970.
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    trouble = unreachable(deployed.settings_of("desk"), error)
    assert not trouble.lasting
    assert "clock" in trouble.error.remedy


def test_without_tls_nothing_passes(deployed: Deployed, peers: Peers) -> None:
    peer = peers.connect(BrokerSettings(port=deployed.port), "desk")
    assert "--tls" in peer.wait_for_change("without an answer")


@lets_go_of_its_socket
def test_tls_to_a_broker_that_has_none(mosquitto: Mosquitto, peers: Peers) -> None:
    peer = peers.connect(BrokerSettings(port=mosquitto.port, tls=True), "desk")
    wait_until(lambda: peer.changes, "something is said")
    assert not peer.connection.connected


def test_a_message_over_the_limit_ends_only_its_senders_connection(
    deployed: Deployed, peers: Peers
) -> None:
    desk = peers.connect(deployed.settings_of("desk"), "desk").ready()
    kitchen = peers.connect(deployed.settings_of("kitchen"), "kitchen").ready()
    desk.connection.publish(TOPICS.chunks("desk"), bytes(3 << 20))
    desk.wait_for_change("was lost")
    assert [connected for connected, _ in kitchen.changes] == [True]


@lets_go_of_its_socket
def test_who_fills_the_broker_with_connections_ends_nobodys(
    deployed: Deployed, peers: Peers
) -> None:
    server = peers.connect(
        deployed.settings_of("aggregator"), "aggregator", TOPICS.requests("kitchen")
    ).ready()
    kitchen = peers.connect(deployed.settings_of("kitchen"), "kitchen").ready()
    # What a service may have open, in which the broker's own files must have room, too.
    deployed.may_open(1024)
    ours, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (ours, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(ours, min(most, 2048)), most))
        for _ in range(1100):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", deployed.port)))
        # It is shut: who is in has the places, and there are files left for the broker itself.
        stranger.settimeout(BOUND)
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
        assert "max_connections" in deployed.log.read_text()
        late = peers.connect(deployed.settings_of("desk"), "desk")
        late.wait_for_change("")
        assert not late.connection.connected
        assert kitchen.connection.publish(TOPICS.requests("kitchen"), b"heard")
        server.wait_for(1)
    wait_until(lambda: late.connection.connected, "it comes in when they have gone")
    for peer in (server, kitchen):
        assert [connected for connected, _ in peer.changes] == [True]


def test_credentials_are_for_their_owner_alone(credentials: Path) -> None:
    public = {"ca.crt", "server.crt"}
    for path in credentials.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o644 if path.name in public else 0o600), path
    hashed = (credentials / "broker" / "passwords").read_text()
    for name in ("aggregator", "kitchen", "desk"):
        password = (
            (credentials / "clients" / f"{user_of(name, FEDERATION)}.password").read_text().strip()
        )
        assert len(password) == 48
        assert password not in hashed


def test_making_credentials_again_changes_nothing_and_adds_what_is_missing(
    needs_mosquitto: None, tmp_path: Path
) -> None:
    assert needs_mosquitto is None

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert make_credentials(tmp_path, "--host", "a.test", ".", "one").returncode == 0
    first = contents()
    assert make_credentials(tmp_path, "--host", "b.test", ".", "one").returncode == 0
    assert contents() == first
    assert make_credentials(tmp_path, ".", "two").returncode == 0
    second = contents()
    passwords = tmp_path / "broker" / "passwords"
    assert second[passwords].startswith(first[passwords])
    assert {p.name for p in second.keys() - first.keys()} == {"chorus_two.password"}
    assert make_credentials(tmp_path, "--renew", "--host", "b.test", ".").returncode == 0
    changed = {path.name for path, content in contents().items() if second[path] != content}
    assert changed == {"server.crt", "server.key"}


def test_a_revoked_device_is_shut_out_by_a_reload_and_its_password_does_not_come_back(
    tmp_path: Path, peers: Peers
) -> None:
    leave_out_without_mosquitto()
    folder = tmp_path / "credentials"
    first = make_credentials(tmp_path, "--host", "127.0.0.1", str(folder), "kitchen", "desk")
    assert first.returncode == 0, first.stderr
    broker = Deployed(tmp_path, folder)
    file = folder / "clients" / "chorus_kitchen.password"
    before = file.read_text()
    broker.start()
    try:
        kitchen, desk = (
            peers.connect(broker.settings_of(name), name, f"chorus/chorus/clients/{name}/replies")
            for name in ("kitchen", "desk")
        )
        kitchen.ready(), desk.ready()
        revoked = make_credentials(tmp_path, "--revoke", str(folder), "kitchen")
        assert revoked.returncode == 0, revoked.stderr
        broker.reload()
        kitchen.wait_for_change("Cannot read the password file")
        # Whoever has kept the password is let in no more.
        kept = tmp_path / "kept.password"
        kept.write_text(before)
        settings = broker.settings_of("desk")
        known = {"username": "chorus_kitchen", "password_file": kept}
        thief = peers.connect(settings.model_copy(update=known), "kitchen", "chorus/chorus/round")
        thief.wait_for_change("refuses the user chorus_kitchen")
        assert [connected for connected, _ in desk.changes] == [True]
    finally:
        broker.kill()
    assert not file.exists()
    for name in ("passwords", "acl"):
        assert "kitchen" not in (folder / "broker" / name).read_text()
    again = make_credentials(tmp_path, str(folder), "hall", "kitchen")
    assert again.returncode == 0, again.stderr
    assert file.read_text() != before


def test_a_renewed_certificate_is_taken_by_a_reload_and_nobody_is_thrown_out(
    tmp_path: Path, peers: Peers
) -> None:
    leave_out_without_mosquitto()
    folder = tmp_path / "credentials"
    words = ("--host", "127.0.0.1", str(folder), "kitchen")
    assert make_credentials(tmp_path, *words).returncode == 0
    broker = Deployed(tmp_path, folder)
    broker.start()
    try:
        settings = broker.settings_of("kitchen")
        kitchen = peers.connect(settings, "kitchen", "chorus/chorus/round").ready()
        before = settings.shown_fingerprint()
        assert make_credentials(tmp_path, "--renew", str(folder)).returncode == 0
        broker.reload()
        wait_until(lambda: settings.shown_fingerprint() != before, "it shows the new one")
        assert [connected for connected, _ in kitchen.changes] == [True]
    finally:
        broker.kill()


def test_two_federations_share_a_broker_and_nothing_else(
    tmp_path: Path, needs_mosquitto: None, peers: Peers
) -> None:
    assert needs_mosquitto is None
    made = tmp_path / "made"
    made.mkdir()
    for federation in ("one", "two"):
        words = ("--host", "127.0.0.1", "--federation", federation, ".", "kitchen")
        assert make_credentials(made, *words).returncode == 0
    broker = Deployed(tmp_path, made)
    broker.start()
    with ExitStack() as stack:
        stack.callback(broker.kill)
        one, two = (
            peers.connect(broker.settings_of("kitchen", name), "kitchen", "chorus/#").ready()
            for name in ("one", "two")
        )
        server = peers.connect(broker.settings_of("aggregator", "two"), "server", "chorus/#")
        server.ready()
        topics = Topics("two")
        for device in (one, two):
            name = b"one" if device is one else b"two"
            assert device.connection.publish(topics.requests("kitchen"), name, retain=True)
            wait_until(lambda seen=device: not seen.connection.busy, "the broker has taken it")  # type: ignore[misc] # bound now
        server.wait_for(1)
        assert server.messages == [(topics.requests("kitchen"), b"two")]
        assert server.connection.publish(topics.round, b"announced")
        two.wait_for(1)
        assert (one.messages, two.messages) == ([], [(topics.round, b"announced")])
        # Neither has thrown out the other one.
        assert [connected for connected, _ in one.changes + two.changes] == [True, True]
        peers.pop_all().close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a folder"),
        (["--what"], "no option"),
        (["--host"], "--host needs"),
        (["--host", "a b", "."], "not a host name"),
        (["--host", "a", ".", "Kitchen"], "cannot be a name"),
        (["--host", "a", ".", "../x"], "cannot be a name"),
        (["--host", "a", ".", "x" * 65], "longer"),
        (["."], "say with --host"),
        (["--revoke", "."], "say which devices"),
        (["--revoke", ".", "kitchen"], "there are no passwords"),
        (["--federation"], "--federation needs"),
        (["--federation", "A", "--host", "a", "."], "cannot be a name"),
        (["--host", "a", ".", "chorus-aggregator"], "is the aggregator"),
    ],
)
def test_a_mistake_is_said_in_one_line(
    needs_mosquitto: None, tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert needs_mosquitto is None
    made = make_credentials(tmp_path, *arguments)
    assert made.returncode == 2
    assert said in made.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.password"))
    assert not list(tmp_path.glob(".making-*"))
