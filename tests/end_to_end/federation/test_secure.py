"""Secure rounds of a federation end in the simulation's bits, whoever is killed on the way."""

import json
import os
import shutil
from contextlib import suppress
from io import StringIO

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from rich.console import Console

from aggregator.commands.report import status_of
from aggregator.commands.tables import status_tables
from aggregator.enrolment.members import Members
from aggregator.ledger import History
from aggregator.server.admission import refusal
from aggregator.server.screen import look
from edge_client.enrolment.membership import MembershipFolder
from edge_client.simulation.federation import client_name
from shared.errors import StorageError
from shared.protocol.messages import Announcement, Offer, Presence
from shared.secure.terms import Stage
from shared.trust.keys import SecretKey
from shared.trust.succession import hand_over
from tests.aggregator.server.serves import fill
from tests.end_to_end.federation.mischief import Mischief, mischiefs
from tests.end_to_end.federation.secure_world import (
    EVERYBODY,
    STAGES,
    check,
    counted,
    names,
    others_of,
    round_of,
    secure_world,
    simulated,
    stage_of,
)
from tests.end_to_end.federation.world import TOPICS

EXAMPLES = int(os.environ.get("CHORUS_MISCHIEF", "10"))


def test_it_ends_in_the_bits_of_the_simulation() -> None:
    with secure_world(rounds=2) as it:
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated((1, EVERYBODY), (2, EVERYBODY)))
        assert it.server
        ledger = it.server.federation.ledger
        assert not ledger.refusals()
        record = ledger.round(2)
        assert record
        assert record.loss is not None
        assert record.confusion is None  # nothing was held out
        assert counted(it, 2) == names(EVERYBODY)
        for update in ledger.updates(2):
            assert (update.codec, update.examples, update.norm) == ("ring", 0, 0.0)
            assert (update.loss, update.confusion) == (None, None)
        last = Announcement.decode(it.network.retained[TOPICS.round])
        assert last.secure
        assert not last.secure.devices
        assert not it.server.federation.folder.secure.joinpath("2").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_with_a_device_killed_in_a_stage_it_ends_in_the_bits_of_those_who_survive(
    stage: Stage,
) -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        it.kill_client(3)
        while not it.ended:
            it.step()
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.state == "done"
        assert set(counted(it, 1)) >= set(names((0, 1, 2)))
        assert check(it) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_an_aggregator_killed_in_a_stage_goes_on_from_there(stage: Stage) -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        it.kill_server()
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated((1, EVERYBODY)))


def test_a_round_of_too_few_is_abandoned_and_the_next_has_a_new_number() -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is Stage.SHARES)
        it.kill_client(2)
        it.kill_client(3)
        while it.server and it.server.federation.ledger.round(1).state == "open":  # type: ignore[union-attr] # it is there
            it.step()
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.state == "abandoned"
        assert "devices have" in record.note
        it.settle()
        assert counted(it, 1) == []
        np.testing.assert_array_equal(it.weights, simulated((2, EVERYBODY)))


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(what_happens=mischiefs())
def test_whatever_happens_it_ends_in_the_bits_of_those_in_its_sums(
    what_happens: list[Mischief],
) -> None:
    with secure_world(rounds=2, seconds=20) as it:
        it.start()
        for mischief in what_happens:
            mischief.happen(it)
        it.settle()
        check(it)


@pytest.mark.parametrize("stage", STAGES)
def test_a_round_that_loses_a_member_is_abandoned(stage: Stage) -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        assert it.server
        it.server.service._course.shut_out(client_name(0))
        it.settle()
        assert check(it) == 0
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.note == "client-00000 was shut out, or has another key."


def test_a_round_that_loses_a_member_while_it_is_opened_is_abandoned() -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        assert round_of(it) is None, "its journal is read"
        assert it.server
        it.server.service._course.shut_out(client_name(0))
        it.settle()
        assert check(it) == 0
        assert round_of(it) is None
        assert Announcement.decode(it.network.retained[TOPICS.round]).state == "finished"


def test_a_round_that_a_full_disk_keeps_from_being_given_up_takes_no_later_one_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is Stage.SHARES)
        assert it.server
        federation, course = it.server.federation, it.server.service._course
        tried = fill(federation.ledger, "abandon_round", 2, monkeypatch)
        for _ in range(3):
            with suppress(StorageError):
                course.shut_out(client_name(0))
        assert len(tried) == 1, "it is tried again by itself, once at a time"
        course.roll_back(0)
        federation.rounds.present.come(client_name(0), news=True)  # it joined again
        it.settle()
        record = federation.ledger.round(1)
        assert record
        assert record.note == "rolled back to the model of round 0"
        assert check(it) == 1


@pytest.mark.parametrize(
    ("lost", "changes", "said"),
    [
        (True, {}, "Only 0 devices have sent keys"),
        (False, {"at_least": 4}, "is of another round"),
    ],
)
def test_a_round_whose_journal_is_of_no_use_is_abandoned(
    lost: bool,  # noqa: FBT001 -- a case
    changes: dict[str, int],
    said: str,
) -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is Stage.MASKED)
        assert it.server
        journal = it.server.federation.folder.secure_round(1)
        it.kill_server()
        if lost:
            journal.unlink()
        it.settings = it.settings.model_copy(update=changes)
        it.settle()
        record = it.server.federation.ledger.round(1)
        assert record
        assert said in record.note
        assert counted(it, 2) == names(EVERYBODY)
        assert check(it) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_rollback_in_a_stage_lets_the_next_round_begin_anew(stage: Stage) -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        assert it.server
        it.server.service._course.roll_back(0)
        it.settle()
        assert counted(it, 2) == names(EVERYBODY)
        assert check(it) == 1


def test_devices_take_no_part_with_a_known_name_that_has_another_key() -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is Stage.KEYS)
        assert it.server
        it.server.federation.pause(paused=True)
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        it.kill_server()
        it.kill_client(3)
        shutil.rmtree(it.folder / client_name(3) / "membership")  # so it joins with a new key
        it.start()
        assert it.server
        it.server.federation.pause(paused=False)
        it.settle()
        record = it.server.federation.ledger.round(2)
        assert record
        assert record.note.startswith("Only 1 devices have sent keys in this secure round; 3 are")
        assert check(it) == 1


def test_status_and_screen_say_at_which_stage_it_is_and_who_is_missing() -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is Stage.CONSENT)
        assert it.server
        federation = it.server.federation
        with History(federation.folder.ledger) as history:
            status = status_of(history)
        assert status["secure"]["stage"] == "consent"
        assert status["secure"]["missing"] == names(EVERYBODY)
        console = Console(file=StringIO(), width=200)
        for table in status_tables(status):
            console.print(table)
        assert isinstance(console.file, StringIO)
        assert "Stage 4 of 5: it asks for a signature" in console.file.getvalue()
        assert look(federation, it.stage.now).stage == status["secure"]["sentence"]
        it.settle()
        assert look(federation, it.stage.now).stage == ""
        with History(federation.folder.ledger) as history:
            assert status_of(history)["secure"] is None


def test_devices_go_on_with_one_whose_old_key_has_signed_its_new_one() -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        assert it.server
        it.kill_client(3)
        folder, name = MembershipFolder(it.folder / client_name(3) / "membership"), client_name(3)
        before = SecretKey.read(folder.key)
        folder.key.unlink()
        key = SecretKey.kept(folder.key).public
        assert it.server.members
        it.kill_server()
        with Members(it.settings.folder / "members.sqlite") as members:
            members.add(name, key, [hand_over(before, key)])
        it.settle()
        done = [number for number in (1, 2) if counted(it, number) == names(EVERYBODY)]
        assert done
        assert done[-1] == 2
        assert json.loads(others_of(it, 0).read_text())[name] == str(key)


def test_a_client_that_knows_no_secure_rounds_is_not_invited() -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is Stage.KEYS)
        announced = Announcement.decode(it.network.retained[TOPICS.round])
        assert announced.codecs == ["ring"]
        assert announced.secure
        assert list(announced.secure.devices) == names(EVERYBODY)
        old = Presence(protocol="1.2", state="online", supply="new", task=announced.task.digest)
        assert it.server
        it.server.service._attendance.take(client_name(2), old)
        assert client_name(2) not in it.server.federation.rounds.present.ready
        sentences = [said.sentence for said in it.server.federation.ledger.refusals()]
        assert not sentences


def test_a_plain_update_is_refused_in_a_secure_round() -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is Stage.MASKED)
        assert it.server
        federation = it.server.federation
        secure = federation.secure and federation.secure.round
        assert secure
        offer = Offer(
            update="0" * 64,
            size=secure.size,
            run=federation.ledger.run,
            round=1,
            model=federation.current.digest,
            codec="int8",
            examples=9,
        )
        refused = refusal(federation, client_name(0), offer)
        assert refused
        assert (refused.reason, refused.sentence) == (
            "unwelcome",
            "Only masked updates are taken here: its codec is not ring.",
        )
        longer = offer.model_copy(update={"codec": "ring", "size": secure.size + 1})
        refused = refusal(federation, client_name(0), longer)
        assert refused
        assert refused.reason == "invalid"
        right = offer.model_copy(update={"codec": "ring"})
        assert refusal(federation, client_name(0), right) is None
