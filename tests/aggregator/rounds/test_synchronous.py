"""The rules of rounds; seconds are numbers that tests make up."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aggregator.rounds.synchronous import (
    Closed,
    Interrupted,
    Opened,
    Step,
    SynchronousRounds,
)
from aggregator.settings import AggregatorSettings
from aggregator.strategies.sampling import sample
from shared.randomness import stream
from shared.round_settings import MOST_CLIENTS
from tests.aggregator.rounds.rules import NAMES, come, rules


def opened(
    settings: AggregatorSettings, clients: list[str] = NAMES
) -> tuple[SynchronousRounds, Opened]:
    """Let clients come until a round has opened."""
    rounds = SynchronousRounds(settings)
    steps = [come(rounds, client, 100) for client in clients]
    (step,) = [step for step in steps if step]
    assert isinstance(step, Opened)
    return rounds, step


def answer(rounds: SynchronousRounds, clients: Iterable[str]) -> Step:
    (*_, last) = [rounds.accept(client) for client in clients]
    return last


def shut_out(rounds: SynchronousRounds, client: str) -> Step:
    rounds.present.leave(client)
    return rounds.withdraw(client)


def test_a_round_that_is_abandoned_takes_no_more_and_the_next_one_opens() -> None:
    rounds, step = opened(rules())
    with pytest.raises(ValueError, match="no round is open"):
        SynchronousRounds(rules()).abandon()
    rounds.accept(step.invited[0])
    rounds.abandon()
    assert rounds.judge(step.invited[1], 1) == "late"
    assert rounds.tick(1e6) is None, "its deadline is gone"
    assert isinstance(following := rounds.end(200), Opened)
    assert following.number == 2
    assert rounds.counted == frozenset()


def test_a_round_opens_when_the_quorum_is_there() -> None:
    rounds = SynchronousRounds(rules(quorum=3))
    assert rounds.start(0) is None
    assert come(rounds, "b", 0) is None
    assert come(rounds, "b", 1) is None
    assert come(rounds, "a", 2) is None
    rounds.present.leave("a")
    assert come(rounds, "c", 3) is None
    assert (rounds.phase, rounds.ready) == ("waiting", 2)
    assert come(rounds, "a", 4) == Opened(1, ("a", "b", "c"), 3)
    assert rounds.wake_at == 64


def test_it_closes_when_all_have_answered_and_the_next_opens() -> None:
    rounds, first = opened(rules(quorum=2), ["b", "a"])
    assert rounds.accept("b") is None
    assert rounds.accept("a") == Closed(1, ("a", "b"))
    assert rounds.phase == "aggregating"
    assert rounds.wake_at is None
    assert come(rounds, "c", 200) is None
    assert rounds.end(300) == Opened(2, ("a", "b", "c"), 3)
    assert rounds.wake_at == 360
    assert first.number == 1


def test_after_the_last_round_none_comes() -> None:
    rounds, _ = opened(rules(quorum=1, rounds=1), ["a"])
    rounds.accept("a")
    assert rounds.end(0) is None
    assert (rounds.phase, rounds.number) == ("finished", 1)
    assert come(rounds, "b", 1) is None
    assert rounds.judge("a", 1) == "late"
    assert SynchronousRounds(rules(rounds=2), ended=2).phase == "finished"


def test_without_a_quorum_the_next_round_waits() -> None:
    rounds, _ = opened(rules(quorum=2), ["a", "b"])
    rounds.accept("a")
    rounds.accept("b")
    rounds.present.leave("a")
    assert rounds.end(0) is None
    assert (rounds.phase, rounds.number) == ("waiting", 2)
    assert come(rounds, "a", 9) == Opened(2, ("a", "b"), 2)


@pytest.mark.parametrize(("wanted", "number"), [(3, 1), (7, 2), (1, 12)])
def test_clients_are_sampled_as_in_a_simulation(wanted: int, number: int) -> None:
    settings = rules(quorum=8, clients_per_round=wanted, seed=11, rounds=20)
    rounds = SynchronousRounds(settings, ended=number - 1)
    (step,) = [step for name in reversed(NAMES) if (step := come(rounds, name, 0))]
    # As edge_client.simulation.federation draws them.
    drawn = stream(11, "sampling", number).choice(8, wanted, replace=False)
    assert step == Opened(number, tuple(NAMES[i] for i in sorted(drawn)), wanted)


def test_a_fraction_counts_those_who_are_there() -> None:
    assert len(opened(rules(quorum=8, fraction=0.5))[1].invited) == 4
    assert len(opened(rules(quorum=8, fraction=0.01))[1].invited) == 1
    assert len(opened(rules(quorum=8, fraction=0.01, min_updates=3))[1].invited) == 3


def test_over_selection_invites_more_and_refuses_the_slowest() -> None:
    rounds, step = opened(rules(quorum=8, clients_per_round=5, over_selection=0.3))
    assert (len(step.invited), step.wanted) == (7, 5)
    assert isinstance(answer(rounds, step.invited[:5]), Closed)
    assert rounds.judge(step.invited[5], 1) == "late"
    assert len(opened(rules(quorum=8, clients_per_round=5, over_selection=0.2))[1].invited) == 6


def test_late_duplicate_uninvited_and_foreign_updates_are_told_apart() -> None:
    rounds, step = opened(rules(quorum=8, clients_per_round=4))
    first, *others = step.invited
    stranger = next(name for name in NAMES if name not in step.invited)
    assert rounds.judge(first, 1) == "welcome"
    assert rounds.judge(stranger, 1) == "uninvited"
    assert rounds.judge(first, 2) == "foreign"
    rounds.accept(first)
    assert rounds.judge(first, 1) == "duplicate"
    for client in (first, stranger):
        with pytest.raises(ValueError, match=client):
            rounds.accept(client)
    answer(rounds, others)
    assert rounds.judge(stranger, 1) == "late"
    assert rounds.judge(first, 1) == "duplicate"
    rounds.end(0)
    assert rounds.judge(first, 1) == "late"
    assert SynchronousRounds(rules()).judge(first, 1) == "foreign"


def test_an_invited_client_that_leaves_is_waited_for_until_the_deadline() -> None:
    rounds, _ = opened(rules(quorum=2), ["a", "b"])
    rounds.accept("a")
    rounds.present.leave("b")
    assert rounds.tick(159.9) is None
    assert rounds.judge("b", 1) == "welcome"
    assert rounds.tick(160) == Closed(1, ("a",))


def test_with_too_few_at_the_deadline_others_are_invited_too() -> None:
    rounds, step = opened(rules(quorum=8, clients_per_round=3, min_updates=2))
    rounds.accept(step.invited[0])
    again = rounds.tick(160)
    assert isinstance(again, Opened)
    assert (again.number, again.wanted, len(again.invited)) == (1, 3, 5)
    assert set(step.invited) < set(again.invited)
    assert rounds.wake_at == 220
    new = next(iter(set(again.invited) - set(step.invited)))
    assert rounds.accept(new) is None
    assert rounds.accept(step.invited[1]) == Closed(
        1, tuple(sorted([step.invited[0], step.invited[1], new]))
    )


def test_when_clients_are_shut_out_it_closes_with_fewer_but_with_the_least_that_is_needed() -> None:
    rounds, _ = opened(rules(quorum=4, min_updates=3), list("abcd"))
    answer(rounds, "ab")
    assert shut_out(rounds, "c") == Opened(1, ("a", "b", "d"), 3)
    assert shut_out(rounds, "d") == Opened(1, ("a", "b"), 3)
    assert come(rounds, "e", 110) is None
    assert rounds.tick(160) == Opened(1, ("a", "b", "e"), 3)
    assert shut_out(rounds, "b") == Opened(1, ("a", "e"), 3)
    assert come(rounds, "f", 170) is None
    assert rounds.tick(220) == Opened(1, ("a", "e", "f"), 3)
    # What the ledger has of it: who is invited, and how many were wanted when it opened.
    written = Interrupted(1, frozenset("aef"), 4, frozenset("a"))
    again = SynchronousRounds(rules(quorum=4, min_updates=3), 0, written)
    assert again.start(0) == Opened(1, ("a", "e", "f"), 3)
    for each in (rounds, again):
        assert answer(each, "ef") == Closed(1, ("a", "e", "f"))


def test_with_nobody_else_it_only_stays_open() -> None:
    rounds, _ = opened(rules(quorum=2, min_updates=2), ["a", "b"])
    assert rounds.tick(160) is None
    assert (rounds.phase, rounds.wake_at) == ("open", 220)
    rounds.accept("a")
    assert rounds.tick(220) is None
    assert isinstance(rounds.accept("b"), Closed)


def test_a_restart_goes_on_with_the_same_round() -> None:
    settings = rules(quorum=2, min_updates=1)
    interrupted = Interrupted(2, frozenset("abc"), 3, frozenset("b"))
    rounds = SynchronousRounds(settings, 1, interrupted)
    assert rounds.start(1000) == Opened(2, ("a", "b", "c"), 3)
    assert rounds.wake_at == 1060
    assert rounds.judge("b", 2) == "duplicate"
    assert come(rounds, "d", 1001) is None
    assert answer(rounds, ["c", "a"]) == Closed(2, ("a", "b", "c"))


@pytest.mark.parametrize("closed", [True, False])
def test_a_restart_aggregates_what_was_closed_or_complete(*, closed: bool) -> None:
    counted = frozenset("a" if closed else "ab")
    rounds = SynchronousRounds(
        rules(), 0, Interrupted(1, frozenset("ab"), 2, counted, closed=closed)
    )
    assert rounds.start(5) == Closed(1, tuple(sorted(counted)))
    assert rounds.wake_at is None


def test_clients_are_bounded() -> None:
    rounds = SynchronousRounds(rules(quorum=10_000))
    for number in range(MOST_CLIENTS + 5):
        come(rounds, f"c{number:06}", 0)
    assert rounds.ready == MOST_CLIENTS
    assert rounds.phase == "open"


def test_end_is_for_closed_rounds() -> None:
    with pytest.raises(ValueError, match="waiting"):
        SynchronousRounds(rules()).end(0)


def test_the_order_of_arrival_does_not_show() -> None:
    names = NAMES[:4]
    seen = set()
    for order in permutations(names):
        settings = rules(quorum=4, clients_per_round=3, seed=3)
        rounds, step = opened(settings, list(order))
        closed = answer(rounds, [name for name in order if name in step.invited])
        assert isinstance(closed, Closed)
        seen.add((step, closed, rounds.end(0)))
    assert len(seen) == 1


@given(
    st.lists(st.text("abc", min_size=1), unique=True, max_size=20).map(sorted),
    st.integers(0, 25),
    st.integers(0, 1000),
)
def test_a_sample_is_sorted_without_repeats_and_as_large_as_can_be(
    names: list[str], wanted: int, seed: int
) -> None:
    chosen = sample(names, wanted, stream(seed))
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(names)
    assert len(chosen) == min(wanted, len(names))


class AnyCourse(RuleBasedStateMachine):
    """Clients, time and restarts in any order; what must hold holds all the way."""

    @initialize(
        quorum=st.integers(1, 4),
        least=st.integers(1, 4),
        per_round=st.none() | st.integers(1, 5),
        over=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def begin(self, quorum: int, least: int, per_round: int | None, over: float) -> None:
        least = min(least, quorum, per_round or least)
        self.settings = rules(
            rounds=4,
            quorum=quorum,
            min_updates=least,
            clients_per_round=per_round,
            over_selection=over,
        )
        self.rounds = SynchronousRounds(self.settings)
        self.now = 0.0
        self.counted: dict[int, list[str]] = {}
        self.closed: dict[int, Closed] = {}
        self.announced: dict[int, Opened] = {}
        self.written: dict[int, int] = {}
        self.take(self.rounds.start(self.now))

    def take(self, step: Step) -> None:
        if isinstance(step, Opened):
            assert step.number == self.rounds.number
            # Those who are needed in place of who was shut out come later.
            assert 1 <= step.wanted <= max(len(step.invited), self.settings.min_updates)
            if before := self.announced.get(step.number):
                assert set(before.invited) <= set(step.invited)
            self.announced[step.number] = step
            self.written.setdefault(step.number, step.wanted)
        elif isinstance(step, Closed):
            counted = self.counted.get(step.number, [])
            assert sorted(counted) == list(step.counted)
            assert len(counted) >= self.settings.min_updates
            assert self.closed.setdefault(step.number, step) == step

    @rule(client=st.sampled_from(NAMES))
    def come(self, client: str) -> None:
        self.take(come(self.rounds, client, self.now))

    @rule(client=st.sampled_from(NAMES))
    def leave(self, client: str) -> None:
        self.rounds.present.leave(client)

    @rule(client=st.sampled_from(NAMES), number=st.integers(0, 5))
    def offer(self, client: str, number: int) -> None:
        if self.rounds.judge(client, number) == "welcome":
            assert number == self.rounds.number
            assert client in self.announced[number].invited
            counted = self.counted.setdefault(number, [])
            assert client not in counted
            counted.append(client)
            self.take(self.rounds.accept(client))

    @rule(client=st.sampled_from(NAMES))
    def shut_out(self, client: str) -> None:
        rounds = self.rounds
        if rounds.phase != "open" or client not in rounds.invited or len(rounds.invited) == 1:
            return
        announced = self.announced[rounds.number]
        left = tuple(name for name in announced.invited if name != client)
        self.announced[rounds.number] = replace(announced, invited=left)
        if client in rounds.counted:
            self.counted[rounds.number].remove(client)
        self.take(shut_out(rounds, client))

    @rule(seconds=st.floats(0, 200))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.rounds.tick(self.now))

    @precondition(lambda self: self.rounds.phase == "aggregating")
    @rule()
    def aggregated(self) -> None:
        self.take(self.rounds.end(self.now))

    @rule(now=st.floats(-1e6, 1e6))
    def restart(self, now: float) -> None:
        """The process ends; the next one has another clock and only what was written down."""
        old, self.now, interrupted = self.rounds, now, None
        if old.phase in ("open", "aggregating"):
            interrupted = Interrupted(
                old.number,
                frozenset(self.announced[old.number].invited),
                self.written[old.number],
                frozenset(self.counted.get(old.number, [])),
                closed=old.phase == "aggregating",
            )
        self.rounds = SynchronousRounds(self.settings, old.ended, interrupted)
        self.take(self.rounds.start(self.now))

    @invariant()
    def deadlines_are_those_of_open_rounds(self) -> None:
        if hasattr(self, "rounds"):
            assert (self.rounds.wake_at is not None) == (self.rounds.phase == "open")
            assert self.rounds.counted <= self.rounds.invited

    def teardown(self) -> None:
        """Whatever came before, it ends once enough clients are there and answer."""
        if not hasattr(self, "rounds"):
            return
        for client in NAMES:
            self.come(client)
        for _ in range(100):
            if self.rounds.phase == "finished":
                break
            for client in sorted(self.rounds.invited):
                self.offer(client, self.rounds.number)
            if self.rounds.phase == "aggregating":
                self.aggregated()
            else:
                self.time_passes(61)
        assert self.rounds.phase == "finished"
        assert sorted(self.closed) == [1, 2, 3, 4]


TestAnyCourse = AnyCourse.TestCase
