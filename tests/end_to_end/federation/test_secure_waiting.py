"""Whom a secure round waits for: not for devices that refuse, lie or are started anew."""

import json

import pytest

from edge_client.simulation.federation import client_name
from shared.secure.terms import Stage
from shared.trust.keys import SecretKey
from tests.end_to_end.federation.liar import LIES
from tests.end_to_end.federation.secure_world import (
    EVERYBODY,
    STAGES,
    check,
    counted,
    names,
    others_of,
    round_of,
    secure_world,
    stage_of,
)


def test_nobody_waits_for_a_device_that_refuses_a_round() -> None:
    with secure_world(rounds=1, seconds=500) as it:
        # It has met another one by this name, and says that it takes no part.
        key = str(SecretKey(bytes(32)).public)
        others_of(it, 3).write_text(json.dumps({client_name(0): key}))
        it.settle(until=lambda: stage_of(it) is Stage.KEYS)
        begun = it.stage.now
        it.settle()
        assert it.stage.now - begun < 60
        assert counted(it, 1) == names((0, 1, 2))
        assert check(it) == 1


@pytest.mark.parametrize(
    "lie", ["shares for some", "an update of another round", "a signature over others"]
)
def test_nobody_waits_for_a_device_that_says_what_cannot_be_true(lie: str) -> None:
    with secure_world(rounds=1, seconds=500) as it:
        it.settle(until=lambda: it.clients and it.clients[3].participant._secure._client)
        begun, stage = it.stage.now, LIES[lie].stage
        client = it.clients[3].participant._secure._client
        assert client
        honest = getattr(client, stage)
        setattr(client, stage, lambda *given: LIES[lie].told(client, honest(*given)))
        it.settle()
        assert it.stage.now - begun < 100
        assert counted(it, 1) == names(EVERYBODY if stage == "consent" else (0, 1, 2))
        assert check(it) == 1


def test_rounds_that_a_lie_about_a_share_ends_are_not_used_up_in_a_moment() -> None:
    with secure_world(rounds=9, seconds=500) as it:
        it.settle(until=lambda: stage_of(it) is Stage.UNMASKING)
        client = it.clients[0].participant._secure._client
        assert client
        honest = client.reveal
        client.reveal = lambda *given: LIES["made-up shares"].told(client, honest(*given))  # type: ignore[method-assign] # it lies
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert "do not give the secret" in record.note
        begun = it.stage.now
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        assert it.stage.now - begun > 400


def test_devices_that_all_refuse_do_not_use_up_the_rounds_in_a_moment() -> None:
    with secure_world(rounds=9, seconds=500) as it:
        for number in EVERYBODY[1:]:
            others_of(it, number).write_text(
                json.dumps({client_name(0): str(SecretKey(bytes(32)).public)})
            )
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.note.startswith("Only 1 devices have sent keys")
        begun = it.stage.now
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        assert it.stage.now - begun > 400


def test_a_round_that_silent_devices_end_at_its_deadline_costs_one_stage() -> None:
    with secure_world(rounds=9, seconds=500) as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        assert it.server
        rounds, begun = it.server.federation.rounds, it.stage.now
        for number in EVERYBODY[1:]:
            it.clients[number].participant._secure._say = lambda _: None
        it.settle(until=lambda: rounds.ended)
        assert it.stage.now - begun >= 500
        it.settle(until=lambda: rounds.phase == "open")
        assert it.stage.now - begun < 600
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.note.startswith("Only 1 devices have sent keys")


def test_a_device_that_refuses_says_so_to_an_aggregator_that_was_killed_meanwhile() -> None:
    with secure_world(rounds=1, seconds=500) as it:
        key = str(SecretKey(bytes(32)).public)
        others_of(it, 3).write_text(json.dumps({client_name(0): key}))
        it.settle(until=lambda: (found := round_of(it)) and found.declined)
        assert stage_of(it) is Stage.KEYS
        begun = it.stage.now
        it.kill_server()
        it.settle()
        assert it.stage.now - begun < 100
        assert counted(it, 1) == names((0, 1, 2))


@pytest.mark.parametrize("stage", STAGES)
def test_nobody_waits_for_a_device_that_is_started_anew_in_a_stage(stage: Stage) -> None:
    with secure_world(rounds=1, seconds=500) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        begun = it.stage.now
        it.kill_client(3)
        it.settle()
        assert it.stage.now - begun < 100
        assert check(it) == 1


def test_a_device_started_anew_sends_the_masked_update_that_it_has_made_and_says_no_more() -> None:
    with secure_world(rounds=1, seconds=500) as it:
        it.settle(until=lambda: it.clients[3].participant._client_state.offer)
        begun = it.stage.now
        it.kill_client(3)
        it.settle()
        assert it.stage.now - begun < 100
        assert counted(it, 1) == names(EVERYBODY)
        assert check(it) == 1
