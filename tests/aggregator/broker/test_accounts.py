"""The embedded broker of a federation by invitation: TLS, accounts, and who may do what."""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.broker.accounts import AccountsAt
from aggregator.broker.certificate import kept_certificate
from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.enrolment.invitations import revoke
from aggregator.enrolment.members import Members
from shared.errors import TrustError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.rights import AccountKind, rights_of, username_of
from shared.protocol.topics import Topics
from tests.brokers import wait_until
from tests.peers import Peer, Peers

TOPICS = Topics("chorus")
SECRET = "secret"  # noqa: S105 -- of a test's accounts
ACL = Path(__file__).parents[3] / "deploy" / "mosquitto" / "acl"


@dataclass
class Guarded:
    """A broker with accounts, and what a test needs to come in."""

    broker: EmbeddedBroker
    members: Members
    folder: Path
    fingerprint: str

    def give(self, kind: AccountKind, name: str, password: str = SECRET) -> BrokerSettings:
        """Give somebody an account; give the settings to come in with."""
        username = username_of(kind, name, TOPICS)
        self.members.put_account(username, kind, name, password)
        return self.settings(username, password)

    def settings(self, username: str, password: str) -> BrokerSettings:
        file = self.folder / f"{username}.password"
        file.write_text(password)
        return BrokerSettings(
            port=self.broker.port,
            username=username,
            password_file=file,
            tls=True,
            fingerprint=self.fingerprint,
        )


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Guarded]:
    at = AccountsAt(tmp_path / "members.sqlite", "chorus", tmp_path / "broker.pem")
    fingerprint = kept_certificate(at.certificate)
    with (
        Members(at.members) as members,
        EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0, accounts=at) as broker,
    ):
        yield Guarded(broker, members, tmp_path, fingerprint)


def deployed(user: str) -> tuple[set[str], set[str]]:
    """Give what a user of ``deploy/mosquitto/acl`` reads and writes."""
    section = re.search(rf"^user {user}\n((?:topic .+\n?)+)", ACL.read_text(), re.MULTILINE)
    assert section
    reads, writes = set[str](), set[str]()
    for access, topic in re.findall(r"^topic (\w+) (\S+)$", section[1], re.MULTILINE):
        plain = topic.replace("FEDERATION", "chorus").replace("NAME", "kitchen")
        if access != "write":
            reads.add(plain)
        if access != "read":
            writes.add(plain)
    return reads, writes


def test_the_rights_are_those_of_the_deployed_rules() -> None:
    device = rights_of("device", "kitchen", TOPICS)
    assert deployed("FEDERATION_NAME") == (set(device.reads), set(device.writes))
    aggregator = rights_of("aggregator", "chorus-aggregator", TOPICS)
    joins = {TOPICS.join("+")}, {TOPICS.joined("+")}
    reads, writes = deployed("FEDERATION_FEDERATION-aggregator")
    assert (reads | joins[0], writes | joins[1]) == (set(aggregator.reads), set(aggregator.writes))


def test_a_device_writes_and_reads_what_is_its_own(it: Guarded, peers: Peers) -> None:
    everything = [*rights_of("aggregator", "", TOPICS).reads]
    watcher = peers.connect(it.give("aggregator", "chorus-aggregator"), "any", *everything).ready()
    own = [TOPICS.round, TOPICS.model("+"), TOPICS.replies("kitchen")]
    device = peers.connect(it.give("device", "kitchen"), "any", *own).ready()
    for topic in (
        *(TOPICS.round, TOPICS.model("1" * 64), TOPICS.replies("kitchen")),
        *(TOPICS.presence("desk"), TOPICS.requests("desk"), TOPICS.chunks("desk")),
        *(TOPICS.join("kitchen"), "chorus/other/round", "elsewhere"),
    ):
        assert device.connection.publish(topic, b"forbidden", retain=True)
    assert device.connection.publish(TOPICS.presence("kitchen"), b"allowed")
    watcher.wait_for(1)
    assert watcher.messages == [(TOPICS.presence("kitchen"), b"allowed")]
    assert watcher.connection.publish(TOPICS.replies("kitchen"), b"answer")
    device.wait_for(1)
    assert device.messages == [(TOPICS.replies("kitchen"), b"answer")]


@pytest.mark.parametrize(
    "topic",
    ["#", "chorus/#", "+/+/round", TOPICS.replies("+"), TOPICS.replies("desk"), TOPICS.join("+")],
)
def test_a_device_hears_nothing_that_is_not_for_it(topic: str, it: Guarded, peers: Peers) -> None:
    device = peers.connect(it.give("device", "kitchen"), "any", topic)
    assert "does not allow" in device.wait_for_change("does not allow")


def test_a_guest_may_ask_to_join_and_nothing_else(it: Guarded, peers: Peers) -> None:
    watcher = peers.connect(
        it.give("aggregator", "chorus-aggregator"), "any", TOPICS.join("+"), TOPICS.presence("+")
    ).ready()
    guest = peers.connect(it.give("guest", "kitchen"), "any", TOPICS.joined("kitchen")).ready()
    assert guest.connection.publish(TOPICS.presence("kitchen"), b"forbidden")
    assert guest.connection.publish(TOPICS.join("desk"), b"forbidden")
    assert guest.connection.publish(TOPICS.join("kitchen"), b"asks")
    watcher.wait_for(1)
    assert watcher.messages == [(TOPICS.join("kitchen"), b"asks")]


@pytest.mark.parametrize(
    ("username", "password"),
    [("chorus_kitchen", "guessed"), ("chorus_desk", "secret"), ("chorus_kitchen_guest", "secret")],
)
def test_who_has_no_account_or_another_password_is_turned_away(
    username: str, password: str, it: Guarded, peers: Peers
) -> None:
    it.give("device", "kitchen")
    stranger = peers.connect(it.settings(username, password), "stranger")
    assert "refuses the user" in stranger.wait_for_change("refuses")
    anonymous = BrokerSettings(port=it.broker.port, tls=True, fingerprint=it.fingerprint)
    nobody = peers.connect(anonymous, username)
    assert "refuses anonymous clients" in nobody.wait_for_change("refuses")


def test_the_will_of_a_device_is_its_own(it: Guarded, peers: Peers) -> None:
    places = [TOPICS.presence("+")]
    watcher = peers.connect(it.give("aggregator", "chorus-aggregator"), "any", *places).ready()
    for name, place in (("kitchen", TOPICS.presence("desk")), ("hall", TOPICS.presence("hall"))):
        settings = it.give("device", name)
        peers.connect(settings, "any", will=(place, name.encode())).ready()
        # Another connection of the same account ends the first.
        peers.connect(settings, "any").ready()
    watcher.wait_for(1)
    assert set(watcher.messages) == {(TOPICS.presence("hall"), b"hall")}


def test_who_is_revoked_is_thrown_out_at_once_and_the_others_stay(
    it: Guarded, peers: Peers
) -> None:
    kitchen = peers.connect(it.give("device", "kitchen"), "kitchen").ready()
    hall = peers.connect(it.give("device", "hall"), "hall").ready()
    revoke(it.members, "kitchen")
    assert "refuses the user" in kitchen.wait_for_change("refuses the user")
    it.give("device", "hall", "another")
    wait_until(lambda: lost(hall), "so is who has another password from now on")
    assert len(it.members.joined()) == 0


def lost(peer: Peer) -> bool:
    return any(not connected for connected, _ in peer.changes)


def test_its_certificate_stays_and_needs_no_clock(it: Guarded, tmp_path: Path) -> None:
    assert kept_certificate(tmp_path / "broker.pem") == it.fingerprint
    assert (tmp_path / "broker.pem").stat().st_mode & 0o777 == 0o600
    settings = BrokerSettings(port=it.broker.port, tls=True, fingerprint=it.fingerprint)
    assert settings.shown_fingerprint() == it.fingerprint
    text = (tmp_path / "broker.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])
    assert b"700101000000Z" in der
    assert b"99991231235959Z" in der
    key = text[: text.index("-----BEGIN CERT")]
    for damaged in ("no certificate", text.removeprefix(key), key, text.replace("MI", "IM", 1)):
        (tmp_path / "broker.pem").write_text(damaged)
        with pytest.raises(TrustError, match="cannot be used"):
            kept_certificate(tmp_path / "broker.pem")


@pytest.mark.parametrize(
    ("file", "said"),
    [("broker.pem", "The broker's certificate"), ("members.sqlite", "The list of members")],
)
def test_one_that_cannot_start_is_tried_more_and_more_seldom_and_says_why_in_a_sentence(
    file: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("aggregator.broker.embedded._PAUSE", 0.1)
    at = AccountsAt(tmp_path / "members.sqlite", "chorus", tmp_path / "broker.pem")
    kept_certificate(at.certificate)
    (tmp_path / file).write_text("damaged " * 100)
    ended = re.compile(r"ended by itself \(20\); it is started again in ([\d.]+) s")
    with EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0, accounts=at):
        wait_until(lambda: len(ended.findall(caplog.text)) == 3, "it was started three times")
    first, second, third = map(float, ended.findall(caplog.text))
    assert 0.05 <= first <= second <= third <= 0.4
    assert third > first
    lines = capfd.readouterr().err.splitlines()
    assert lines
    assert {line.startswith(f"broker: {said} {tmp_path / file}") for line in lines} == {True}


@pytest.mark.parametrize("read", [False, True], ids=["not read yet", "read before"])
def test_a_list_of_members_that_is_damaged_meanwhile_leaves_no_traceback(
    it: Guarded, peers: Peers, capfd: pytest.CaptureFixture[str], *, read: bool
) -> None:
    settings = it.give("device", "kitchen")
    if read:
        peers.connect(settings, "kitchen").ready()
    for suffix in ("", "-wal", "-shm"):
        it.members.path.with_name(f"members.sqlite{suffix}").unlink(missing_ok=True)
    it.members.path.write_text("damaged " * 10_000)
    peers.connect(settings, "kitchen")
    heard: list[str] = []

    def said() -> bool:
        heard.append(capfd.readouterr().err)
        return "broker: The list of members" in "".join(heard)

    wait_until(said, "it says so")
    assert "Traceback" not in "".join(heard)


def test_somebody_in_the_brokers_place_is_told_nothing(it: Guarded, peers: Peers) -> None:
    settings = it.give("device", "kitchen")
    wrong = settings.model_copy(update={"fingerprint": "0" * 64})
    peer = peers.connect(wrong, "kitchen")
    assert "is not the one that the broker is known by" in peer.wait_for_change("certificate")
    plain = settings.model_copy(update={"tls": False, "fingerprint": None})
    assert "without an answer" in peers.connect(plain, "kitchen").wait_for_change("ended")
