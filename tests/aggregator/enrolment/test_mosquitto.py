"""Accounts at Mosquitto: who waits for one, who loses one, and whose are left alone."""

import json
from functools import partial
from pathlib import Path

import pytest

from aggregator.enrolment.invitations import invite, revoke
from aggregator.enrolment.members import Members
from aggregator.enrolment.mosquitto import MosquittoAccounts
from shared.protocol.topics import Topics
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")


def answer(**response: object) -> bytes:
    return json.dumps({"responses": [response]}).encode()


def test_who_asks_again_and_again_is_answered_once(tmp_path: Path) -> None:
    said: list[bytes] = []
    done: list[int] = []
    with Members(tmp_path / "members.sqlite") as members:
        invite(members, TOPICS, "attic", hours=1, again=False)
        plugin = MosquittoAccounts(
            members, TOPICS, LoopDriver().loop, lambda _, payload: said.append(payload)
        )
        plugin.connected()
        plugin.hear(answer(command="listClients", data={"clients": []}))
        guest = TOPICS.guest("attic")
        for number in range(1000):
            plugin.when_there(guest, partial(done.append, number))
        assert done == []
        assert sum(b"createClient" in payload for payload in said) == 1
        plugin.hear(answer(command="createClient", correlationData=guest))
        assert done == [999], "the last request is the one that its device waits for"
        plugin.when_there(guest, partial(done.append, 1000))
        assert done == [999, 1000], "it is there"


class Plugin:
    """Stands in for Mosquitto's plugin: has accounts, and answers as it does."""

    def __init__(self, *users: str) -> None:
        self.users = set(users)
        self.answers: list[bytes] = []
        self.away = False

    def take(self, _: str, payload: bytes) -> None:
        for command in json.loads(payload)["commands"]:
            if not self.away:
                self._take(command)

    def _take(self, command: dict[str, str]) -> None:
        known = {"command": command["command"]}
        if "correlationData" in command:
            known["correlationData"] = command["correlationData"]
        match command["command"]:
            case "listClients":
                self.answers.append(answer(**known, data={"clients": sorted(self.users)}))
            case "createClient":
                self.users.add(command["username"])
                self.answers.append(answer(**known))
            case "deleteClient":
                there = command["username"] in self.users
                self.users.discard(command["username"])
                self.answers.append(answer(**known, **({} if there else {"error": NOT_THERE})))


NOT_THERE = "Client not found"


class AtPlugin:
    """The accounts of a list of members, at a plugin."""

    def __init__(self, members: Members, plugin: Plugin) -> None:
        self.plugin = plugin
        self.accounts = MosquittoAccounts(members, TOPICS, LoopDriver().loop, plugin.take)

    def connect(self) -> None:
        self.accounts.connected()
        self.answer()

    def answer(self) -> None:
        while self.plugin.answers:
            self.accounts.hear(self.plugin.answers.pop(0))


DESK = [TOPICS.guest("desk"), TOPICS.identifier("desk")]


def joined(members: Members, name: str) -> None:
    """Let a device have an account."""
    invite(members, TOPICS, name, hours=1)
    members.put_account(TOPICS.identifier(name), "device", name, "secret")
    for username, _, _, digest, _ in members.accounts():
        members.told(username, digest)


def test_accounts_that_the_list_of_members_never_had_are_left_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = [f"chorus_device-{number:02}" for number in range(40)]
    plugin = Plugin(*others, "another_desk", "chorus_chorus-aggregator")
    with Members(tmp_path / "members.sqlite") as members:
        it = AtPlugin(members, plugin)
        it.connect()
        it.accounts.look()
        it.connect()
    assert plugin.users == {*others, "another_desk", "chorus_chorus-aggregator"}
    (said,) = [record.getMessage() for record in caplog.records]
    assert "chorus_device-00, " in said
    assert "chorus_device-09 (and 30 more)" in said
    assert "device-10" not in said
    assert "another" not in said
    assert "chorus-aggregator" not in said


def test_who_was_shut_out_loses_the_account_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    plugin = Plugin(*DESK, "chorus_hall")
    with Members(tmp_path / "members.sqlite") as members:
        joined(members, "desk")
        it = AtPlugin(members, plugin)
        it.connect()
        revoke(members, "desk")
        it.accounts.look()
        assert members.revoked() == dict.fromkeys(DESK, "desk"), "it is not confirmed"
        it.answer()
        assert members.revoked() == {}
    assert plugin.users == {"chorus_hall"}
    for user in DESK:
        assert f"The broker has removed the account {user}." in caplog.text


@pytest.mark.parametrize("known", [True, False])
def test_who_was_shut_out_while_the_broker_was_away_loses_it_when_it_is_back(
    tmp_path: Path, *, known: bool
) -> None:
    plugin = Plugin(*DESK)
    with Members(tmp_path / "members.sqlite") as members:
        joined(members, "desk")
        it = AtPlugin(members, plugin)
        if known:
            it.connect()
        plugin.away = True
        revoke(members, "desk")
        it.accounts.look()
        it.answer()
    plugin.away = False
    with Members(tmp_path / "members.sqlite") as members:
        AtPlugin(members, plugin).connect()
    assert plugin.users == set()


def test_who_is_shut_out_while_its_account_is_made_has_none(tmp_path: Path) -> None:
    plugin = Plugin()
    with Members(tmp_path / "members.sqlite") as members:
        it = AtPlugin(members, plugin)
        it.connect()
        invite(members, TOPICS, "desk", hours=1)
        it.accounts.look()
        revoke(members, "desk")
        it.accounts.look()
        it.answer()
        assert members.revoked() == {}
    assert plugin.users == set()


def test_who_is_invited_again_keeps_the_new_account(tmp_path: Path) -> None:
    plugin = Plugin(*DESK)
    with Members(tmp_path / "members.sqlite") as members:
        joined(members, "desk")
        it = AtPlugin(members, plugin)
        revoke(members, "desk")
        invite(members, TOPICS, "desk", hours=1)
        it.connect()
        it.accounts.look()
        it.answer()
    assert plugin.users == {TOPICS.guest("desk")}


def test_a_removal_that_the_plugin_refuses_is_said_and_tried_at_the_next_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = Plugin(*DESK)
    with Members(tmp_path / "members.sqlite") as members:
        joined(members, "desk")
        revoke(members, "desk")
        it = AtPlugin(members, plugin)
        plugin.away = True
        it.connect()
        it.accounts.hear(answer(command="listClients", data={"clients": DESK}))
        refusal = {"command": "deleteClient", "error": "Internal error"}
        it.accounts.hear(answer(**refusal, correlationData=DESK[0]))
        assert f"does not remove the account {DESK[0]}: Internal error" in caplog.text
        assert set(members.revoked()) == set(DESK)
        plugin.away = False
        it.connect()
        assert members.revoked() == {}
    assert plugin.users == set()
