"""Joining by a link: real processes, killed at each step, and links that are no good."""

import json
import os
import pwd
import re
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.enrolment.members import Members
from edge_client.enrolment.settling import Host
from edge_client.join import join_and_start
from edge_client.simulation.federation import client_name
from shared.errors import MissingPartError
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.link import Link
from shared.trust.succession import newest
from tests.end_to_end.federation.clips import (
    DEVICES,
    ROUNDS,
    Clips,
    simulated,
)
from tests.end_to_end.federation.joining import ByInvitation, key_of

pytestmark = pytest.mark.usefixtures("environment")

TRUST = 20


@pytest.fixture
def it(tmp_path: Path, clips: Clips) -> Iterator[ByInvitation]:
    with ByInvitation(tmp_path, clips) as them:
        yield them


def test_devices_that_have_joined_end_in_the_weights_of_the_simulation(
    it: ByInvitation, clips: Clips
) -> None:
    it.start()
    it.all_join(DEVICES)
    for number in range(DEVICES):
        it.run(number, it.port)
    it.finish(simulated(clips.whole))
    it.invite("hall")
    listed = it.command("aggregator", "devices", "--json", "--state", it.state.path)
    found = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    assert list(found) == [*map(client_name, range(DEVICES)), "hall"]
    for number in range(DEVICES):
        entry = found[client_name(number)]
        assert entry["key"] == key_of(it, client_name(number))
        assert entry["updates"] == ROUNDS
        assert entry["software"].startswith("chorus-edge")
    shown = it.command("aggregator", "devices", "--state", it.state.path).stdout
    assert found[client_name(0)]["key"][:12] in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_two_commands_are_all_and_the_second_may_be_given_again(it: ByInvitation) -> None:
    aggregator = it.start()
    link = it.invite("kitchen")
    for _ in range(2):
        joined = it.join(link, "kitchen")
        assert joined.returncode == 0, joined.stderr
        assert "This device is kitchen in the federation chorus." in joined.stderr
        assert "edge-client run --mic" in joined.stderr, "there is no service: how to start it"
        assert re.search(r"The page: http://\S+:8765/\?token=", joined.stderr)
    assert aggregator.said("kitchen has joined the federation.") == 1
    state = it.folder / "kitchen"
    settings = tomllib.loads((state / "edge-client.toml").read_text())
    assert (settings["federation"], settings["client"]) == ("chorus", "kitchen")
    assert settings["web"] == "0.0.0.0:8765"
    broker = settings["broker"]
    assert (broker["host"], broker["port"], broker["tls"]) == ("127.0.0.1", it.port, True)
    secret = [*state.rglob("key.pem"), *state.rglob("password"), it.state.key, it.state.members]
    assert {path.stat().st_mode & 0o077 for path in secret} == {0}
    assert Link.of(link).code.hex() not in "".join(
        path.read_text("latin-1") for path in state.rglob("*") if path.is_file()
    )


def test_its_settings_may_be_used_from_any_folder(
    it: ByInvitation, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.start()
    link = it.invite("kitchen")
    monkeypatch.chdir(it.folder)
    joined = it.command("edge-client", "join", link, "--state", "kitchen")
    assert joined.returncode == 0, joined.stderr
    settings = tomllib.loads((it.folder / "kitchen" / "edge-client.toml").read_text())
    assert Path(settings["broker"]["password_file"]).is_absolute()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs a service")
def test_on_a_device_that_is_installed_the_service_is_started(
    it: ByInvitation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    it.start()
    host = Host(
        unit=tmp_path / "unit",
        state=tmp_path / "state",
        config=tmp_path / "etc" / "edge-client.toml",
        user=pwd.getpwuid(os.geteuid()).pw_name,
        systemd=tmp_path,
    )
    host.unit.touch()
    link, ran = it.invite("kitchen"), list[Sequence[str]]()

    def run(words: Sequence[str]) -> int:
        ran.append(words)
        return int(len(ran) > 2)

    join_and_start(link, None, None, "0.0.0.0:8765", host=host, run=run)
    assert [list(words[:2]) for words in ran] == [["systemctl", "enable"], ["systemctl", "restart"]]
    assert "edge-client run" not in capsys.readouterr().err, "it runs already"
    settings = tomllib.loads(host.config.read_text())
    password = Path(settings["broker"]["password_file"])
    assert password.is_relative_to(host.state)
    assert password.exists()
    host.config.write_text(f"keep_audio = true\n{host.config.read_text()}")
    with pytest.raises(MissingPartError, match="has joined, but its service"):
        join_and_start(link, None, None, "0.0.0.0:8765", host=host, run=run)
    assert tomllib.loads(host.config.read_text()) == {"keep_audio": True, **settings}
    with pytest.raises(MissingPartError, match="There is no user nobody-of-this-name"):
        replace(host, user="nobody-of-this-name").hand_over(host.state)


@pytest.mark.parametrize(
    "still",
    [
        "before edge_client.enrolment.asking:SecretKey.kept",
        "before edge_client.enrolment.asking:_ask",
        "after edge_client.enrolment.asking:Connection.publish",
        "before edge_client.enrolment.asking:_keep",
        "before edge_client.enrolment.asking:write_number",
        "after edge_client.enrolment.asking:_keep",
        "before edge_client.join:write_settings",
    ],
)
def test_a_device_that_is_killed_while_it_joins_joins_with_the_same_line(
    still: str, it: ByInvitation
) -> None:
    it.start()
    link = it.invite("kitchen")
    device = it.begin_to_join(link, "kitchen", still)
    it.wait(lambda: device.said("It stands still"), f"it stands still {still}")
    if "publish" in still:
        it.wait(lambda: key_of(it, "kitchen"), "it is a member, and was not told")
    before = key_of(it, "kitchen")
    device.kill()
    joined = it.join(link, "kitchen")
    assert joined.returncode == 0, joined.stderr
    assert before in (None, key_of(it, "kitchen")), "one device has one key"


@pytest.mark.parametrize(
    "still",
    [
        "before aggregator.enrolment.entrance:let_in",
        "after aggregator.enrolment.entrance:let_in",
        "before aggregator.enrolment.members:Members.add",
    ],
)
def test_an_aggregator_that_is_killed_while_a_device_joins_answers_it_later(
    still: str, it: ByInvitation
) -> None:
    aggregator = it.start(still)
    link = it.invite("kitchen")
    device = it.begin_to_join(link, "kitchen", "after edge_client.join:show_link")
    it.wait(lambda: aggregator.said("It stands still"), f"it stands still {still}")
    aggregator.kill()
    it.start()
    it.wait(lambda: device.said("It stands still"), "it has joined")
    assert key_of(it, "kitchen")


def test_a_code_is_good_for_one_device(it: ByInvitation) -> None:
    aggregator = it.start()
    link = it.invite("kitchen")
    assert it.join(link, "kitchen").returncode == 0
    thief = it.join(link, "thief")
    assert thief.returncode == TRUST
    assert f"used already, by the key {(key_of(it, 'kitchen') or '')[:16]}" in thief.stderr
    assert aggregator.said("kitchen: kitchen cannot join: the invitation was used already")
    assert not (it.folder / "thief" / "edge-client.toml").exists()


def test_links_that_are_no_good(it: ByInvitation) -> None:
    it.start()
    late = it.invite("late", "--hours", "0.01")
    replaced = it.invite("twice")
    it.invite("twice")
    guessed = str(Link.of(it.invite("guessed")))
    wrong = Link.of(guessed)
    wrong = Link(
        **{name: getattr(wrong, name) for name in Link.__slots__ if name != "code"}, code=bytes(16)
    )
    foreign = Link.of(it.invite("foreign"))
    foreign = Link(
        **{name: getattr(foreign, name) for name in Link.__slots__ if name != "federation"},
        federation="another",
    )
    other_broker = Link.of(it.invite("pinned"))
    other_broker = Link(
        **{name: getattr(other_broker, name) for name in Link.__slots__ if name != "fingerprint"},
        fingerprint=bytes(32),
    )
    with Members(it.state.members) as members, members.transaction() as connection:
        connection.execute("UPDATE invitations SET expires = 1 WHERE name = 'late'")
    for link, code, sentence in (
        (late, TRUST, "the invitation has expired"),
        (replaced, TRUST, "does not know this link"),
        (str(wrong), TRUST, "does not know this link"),
        (str(foreign), TRUST, "does not know this link"),
        (str(other_broker), 18, "is not the one that the broker is known by"),
        (guessed[:-9], TRUST, "it was cut short"),
        ("https://example.org", TRUST, "does not look like"),
    ):
        answer = it.join(link, "kitchen")
        said = " ".join(answer.stderr.split())
        assert (answer.returncode, sentence in said) == (code, True), answer.stderr
        assert len(answer.stderr.strip().splitlines()) <= 2, "a sentence and a remedy"
    assert not (it.folder / "kitchen" / "edge-client.toml").exists()


def test_a_name_that_has_joined_is_invited_again_for_a_new_card(it: ByInvitation) -> None:
    aggregator = it.start()
    assert it.join(it.invite("kitchen"), "kitchen").returncode == 0
    first = key_of(it, "kitchen")
    refused = it.command("aggregator", "invite", "kitchen", "--state", it.state.path)
    assert (refused.returncode, "has joined already" in refused.stderr) == (2, True)
    link = it.invite("kitchen", "--again")
    assert key_of(it, "kitchen") == first, "until the new one has joined"
    assert it.join(link, "new-card").returncode == 0
    assert key_of(it, "kitchen") not in (None, first)
    assert aggregator.said("kitchen was shut out, or has another key")


def test_a_device_that_joins_again_signs_its_new_key_with_the_one_it_had(
    it: ByInvitation,
) -> None:
    it.start()
    assert it.join(it.invite("kitchen"), "kitchen").returncode == 0
    first = key_of(it, "kitchen")
    assert first
    place = it.folder / "kitchen" / "memberships" / "chorus"
    (place / "others.json").write_text(json.dumps({"desk": first}))
    (place / "given.json").write_text(json.dumps({"chorus/run": 3}))
    joined = it.join(it.invite("kitchen", "--again"), "kitchen")
    assert joined.returncode == 0, joined.stderr
    with Members(it.state.members) as members:
        member = members.joined()["kitchen"]
    assert str(member.key) != first
    assert newest(PublicKey.of(first), member.succession) == member.key
    assert json.loads((place / "others.json").read_text()) == {"desk": first}
    assert json.loads((place / "given.json").read_text()) == {"chorus/run": 3}


def test_a_card_and_its_copy_at_once_are_told_of_and_change_nothing(
    it: ByInvitation, clips: Clips
) -> None:
    aggregator = it.start()
    it.all_join(DEVICES)
    name = client_name(0)
    shutil.copytree(it.folder / name, it.folder / "copy")
    card = it.run(0, it.port)
    it.wait(lambda: card.said("Round 1 is waiting"), "the card is there")
    copy = it.run(0, it.port, state="copy")
    said = "a copy of the device's card is in another device"
    it.wait(lambda: aggregator.said(said), "the aggregator says so")
    it.wait(lambda: card.said(f"look whether a second client is called {name}"), "the card, too")
    for process in (copy, card):
        process.kill()
    for number in range(DEVICES):
        it.run(number, it.port)
    it.finish(simulated(clips.whole))


def test_two_federations_have_two_keys(it: ByInvitation, tmp_path: Path, clips: Clips) -> None:
    it.start()
    with ByInvitation(tmp_path / "second", clips, "--federation", "second") as other:
        other.folder.mkdir()
        other.start()
        for one, name in ((it, "kitchen"), (other, "hall")):
            joined = it.join(one.invite(name), "device")
            assert joined.returncode == 0, joined.stderr
        assert key_of(it, "kitchen") != key_of(other, "hall")
    state = it.folder / "device" / "memberships"
    assert sorted(path.name for path in state.iterdir()) == ["chorus", "lock", "second"]


def test_another_federation_of_the_same_name_is_not_taken_for_the_first(
    it: ByInvitation, tmp_path: Path, clips: Clips
) -> None:
    it.start()
    assert it.join(it.invite("kitchen"), "device").returncode == 0
    with ByInvitation(tmp_path / "second", clips) as other:
        other.folder.mkdir()
        other.start()
        refused = it.join(other.invite("kitchen"), "device")
    assert refused.returncode == TRUST
    assert "has joined another federation called chorus" in refused.stderr


def test_a_device_that_was_revoked_in_the_middle_of_a_round_is_out_at_once(
    it: ByInvitation,
) -> None:
    it.start()
    it.all_join(DEVICES)
    it.run(0, it.port)
    it.run(1, it.port, still="before edge_client.federation.delivery:Delivery.begin")
    it.wait(lambda: it.counted(1) == 1, "the update of one counts")
    kept = it.state.update(1, client_name(0))
    assert kept.exists()
    revoked = it.command("aggregator", "revoke", client_name(0), "--state", it.state.path)
    assert revoked.returncode == 0, revoked.stderr
    it.wait(lambda: it.counted(1) == 0, "it counts no more")
    assert not kept.exists()
    assert it.aggregator
    it.wait(lambda: it.devices[0].said("refuses the user"), "the broker lets it in no more")
    assert it.devices[0].said("This device was shut out of the federation")
    assert it.devices[0].said("--username") == 0, "it was never given one"
    again = it.command("aggregator", "revoke", client_name(0), "--state", it.state.path)
    assert (again.returncode, "Nobody called" in again.stderr) == (2, True)
    it.devices[1].kill()
    it.run(1, it.port)
    it.wait(lambda: it.reached(1, "done"), "the round ends without it")
    assert it.clients(1) == [client_name(1)]


def test_who_is_revoked_while_nobody_serves_is_out_when_it_starts_again(
    it: ByInvitation,
) -> None:
    aggregator = it.start()
    it.all_join(DEVICES)
    it.run(0, it.port)
    it.run(1, it.port, still="before edge_client.federation.delivery:Delivery.begin")
    it.wait(lambda: it.counted(1) == 1, "the update of one counts")
    aggregator.kill()
    revoked = it.command("aggregator", "revoke", client_name(0), "--state", it.state.path)
    assert revoked.returncode == 0, revoked.stderr
    it.start()
    it.wait(lambda: it.counted(1) == 0, "it counts no more")
    assert not it.state.update(1, client_name(0)).exists()


def test_a_device_leaves_and_may_be_invited_again(it: ByInvitation) -> None:
    it.start()
    state = it.folder / "kitchen"
    assert it.join(it.invite("kitchen"), "kitchen").returncode == 0
    refused = it.command(
        "edge-client", "leave", "--federation", "garden", "--state", state, "--yes"
    )
    assert (refused.returncode, refused.stdout) == (19, "")
    assert "takes part in no federation garden" in refused.stderr
    asked = it.command("edge-client", "leave", "--state", state)
    assert asked.returncode == 1, "nobody has said yes"
    assert (state / "memberships" / "chorus" / "key.pem").exists()
    left = it.command("edge-client", "leave", "--state", state, "--yes")
    assert left.returncode == 0, left.stderr
    assert "aggregator revoke kitchen" in left.stdout
    assert not (state / "memberships" / "chorus").exists()
    settings = tomllib.loads((state / "edge-client.toml").read_text())
    assert settings == {"web": "0.0.0.0:8765", "offline": True}
    again = it.command("aggregator", "invite", "kitchen", "--again", "--state", it.state.path)
    link = next(word for word in again.stdout.split() if word.startswith("chorus://"))
    assert it.join(link, "kitchen").returncode == 0
    settings = tomllib.loads((state / "edge-client.toml").read_text())
    assert (settings["client"], "offline" in settings) == ("kitchen", False)


def test_who_leaves_while_a_device_joins_is_told_to_wait(it: ByInvitation) -> None:
    it.start()
    state, link = it.folder / "kitchen", it.invite("kitchen")
    device = it.begin_to_join(link, "kitchen", "before edge_client.enrolment.asking:_keep")
    it.wait(lambda: device.said("It stands still"), "it has been let in")
    left = it.command("edge-client", "leave", "--federation", "chorus", "--state", state, "--yes")
    assert (left.returncode, "`leave` is running" in left.stderr) == (13, True), left.stderr
    device.kill()
    assert it.join(link, "kitchen").returncode == 0
    assert SecretKey.read(state / "memberships" / "chorus" / "key.pem")
