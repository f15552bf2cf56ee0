"""Slow lines, limits that come and go, brokers that forget: who takes part, and with how much."""

from itertools import pairwise

import pytest

from aggregator.rounds.synchronous import Opened
from shared.errors import StorageError
from shared.protocol.topics import Topics
from tests.end_to_end.federation.hostile import Mallory, update_file
from tests.end_to_end.federation.network import Link, Message
from tests.end_to_end.federation.world import World, simulated, world

CHUNKS = Topics("chorus").chunks("client-00000")
FIRST, OTHER = 0, 1


def training(it: World, number: int) -> bool:
    return it.clients[number].participant._worker.on is not None


def test_on_a_line_slower_than_anybodys_patience_nothing_is_sent_twice() -> None:
    with world(rounds=1, codecs="float32") as it:
        it.start()
        it.slow_down(FIRST, 30.0)
        passed: list[bytes] = []

        def count(_: Link, message: Message) -> list[Message]:
            if message[0] == CHUNKS:
                passed.append(message[1])
            return [message]

        it.fate = count
        it.settle(until=lambda: it.stage.now > 1000 + 500)
        it.settle()
        it.check(simulated(rounds=1, codec="float32"))
        assert len(passed) == len(set(passed)) > 3


def test_who_may_not_train_any_more_stops_and_goes_on_when_allowed() -> None:
    with world() as it:
        it.settle(until=lambda: it.clients and training(it, FIRST))
        it.limits.append("these are quiet hours")
        it.clients[FIRST].participant.examples_changed()
        while it.clients[FIRST].loop.ready:
            it.run(it.clients[FIRST].loop)
        it.rest()
        assert not training(it, FIRST)
        assert it.server
        counted = it.server.federation.ledger.updates(1)
        assert [update.client for update in counted] == ["client-00001"]
        it.limits.clear()
        # Nothing is announced anew: the round is open all the while.
        it.clients[FIRST].participant.examples_changed()
        it.settle()
        it.check(simulated())


def test_who_had_nothing_to_train_on_takes_part_when_there_is_something() -> None:
    with world() as it:
        it.start()
        own = it.clients[FIRST].participant
        own._readiness._keys = list
        it.rest()
        assert it.server
        assert it.server.federation.rounds.ready == 1
        own._readiness._keys = it.data[FIRST].numbers.tolist
        own.examples_changed()
        it.settle()
        it.check(simulated())


def test_a_broker_that_comes_back_tells_who_is_there() -> None:
    with world() as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        # The broker forgets everything, and a client is gone for good meanwhile.
        gone = it.clients[OTHER].link
        gone.will = None
        it.kill_client(OTHER)
        it.network.restart(keep=False)
        it.rest()
        assert it.server
        assert it.server.federation.rounds.ready == 1
        it.settle()
        it.check(simulated())


def test_when_a_client_was_last_seen_is_written_soon() -> None:
    with world(quorum=3) as it:
        it.start()
        it.rest()
        assert it.server
        ledger = it.server.federation.ledger
        assert ledger.clients() == []
        it.stage.wait()
        it.rest()
        it.stage.wait()
        it.rest()
        assert [client.name for client in ledger.clients()] == ["client-00000", "client-00001"]
        assert all(client.present for client in ledger.clients())


def test_many_who_come_are_told_of_together() -> None:
    with world(quorum=3) as it:
        it.start()
        told: list[float] = []
        assert it.server
        it.server.service._on_change = lambda: told.append(it.stage.now)
        end = it.stage.now + 30
        it.settle(until=lambda: it.stage.now > end or (it._todo() == [] and len(told) > 1))
        assert told
        assert all(later - before >= 1 for before, later in pairwise(told))


def test_an_offer_for_a_round_nobody_was_told_of_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with world() as it:
        it.start()
        assert it.server
        whole = it.server.federation.open_round
        failed: list[Opened] = []

        def full(opened: Opened) -> None:
            if len(failed) < 3:
                failed.append(opened)
                raise StorageError("The disk is full.")
            whole(opened)

        monkeypatch.setattr(it.server.federation, "open_round", full)
        it.settle(until=lambda: failed)
        Mallory(it, "client-00000").send(update_file())
        it.settle()
        it.check(simulated())
