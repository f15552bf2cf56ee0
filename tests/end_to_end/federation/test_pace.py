"""A federation in memory that waits for examples, and is killed meanwhile."""

import pytest

from tests.end_to_end.federation.world import World, simulated, world

PACE = {"least_examples": 8, "new_examples": 4, "every": 50}


def label(it: World, number: int, count: int) -> None:
    """Let a client have so many new examples, which are what it had: so the result is known."""
    own = it.clients[number].participant
    keys = it.data[number].numbers.tolist()
    own._readiness._keys = lambda: [*keys, *range(1000, 1000 + count)]
    own.examples_changed()


def look_on(it: World, seconds: float) -> None:
    """Let time pass."""
    end = it.stage.now + seconds
    it.settle(until=lambda: it.stage.now > end)


@pytest.mark.parametrize("killed", ["nobody", "the server", "a client", "everybody"])
def test_after_a_round_it_waits_for_new_examples_and_ends_as_the_simulation(killed: str) -> None:
    with world(**PACE) as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended == 1)
        look_on(it, 10)
        if killed in ("the server", "everybody"):
            it.kill_server()
        if killed in ("a client", "everybody"):
            it.kill_client(0)
            it.kill_client(1)
        look_on(it, 300)
        assert it.server
        rounds = it.server.federation.rounds
        assert (rounds.phase, rounds.ready, rounds.has_news) == ("waiting", 2, False)
        label(it, 1, 3)
        look_on(it, 300)
        assert rounds.phase == "waiting"
        label(it, 1, 4)
        it.settle()
        it.check(simulated())


def test_who_has_too_few_is_not_waited_for() -> None:
    with world(**{**PACE, "quorum": 1, "rounds": 1, "least_examples": 9}) as it:
        it.settle()
        assert it.server
        assert it.server.federation.ledger.round(1)
        counted = it.server.federation.ledger.updates(1)
        assert [update.client for update in counted] == ["client-00000"]
        told = {one.name: one.supply for one in it.server.federation.ledger.clients()}
        assert told == {"client-00000": "enough", "client-00001": "some"}
