"""The rules of secure rounds: who is invited, and when the next opens after one that failed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.rounds.synchronous import Opened, Step, SynchronousRounds
from shared.round_settings import MOST_SECURE
from tests.aggregator.rounds.rules import NAMES, come, rules


@given(
    clients=st.integers(3, 120),
    fraction=st.floats(0.001, 1),
    least=st.integers(3, 100),
    over=st.floats(0, 2),
    quorum=st.integers(1, 120),
)
def test_a_secure_round_that_opens_can_have_a_sum(
    clients: int, fraction: float, least: int, over: float, quorum: int
) -> None:
    secure: dict[str, Any] = {"secure": True, "by_invitation": True, "at_least": least}
    settings = rules(**secure, fraction=fraction, over_selection=over, quorum=quorum)
    rounds = SynchronousRounds(settings)
    for number in range(clients):
        step = come(rounds, f"c{number:03}", 0)
        if isinstance(step, Opened):
            assert least <= step.wanted <= number + 1
            assert least <= len(step.invited) <= MOST_SECURE
            return
    assert clients < max(least, quorum)


def secure_round(at: float) -> SynchronousRounds:
    """Open a secure round, whose stages have 60 seconds each."""
    rounds = SynchronousRounds(rules(secure=True, by_invitation=True, quorum=3))
    steps = [come(rounds, client, at) for client in NAMES[:3]]
    assert isinstance(steps[-1], Opened)
    return rounds


def given_up(rounds: SynchronousRounds, now: float) -> Step:
    """End the open round as its stages do when somebody spoils it."""
    rounds.hold_off()
    rounds.abandon()
    return rounds.end(now)


def test_after_a_spoilt_secure_round_the_next_opens_when_its_stage_would_have_ended() -> None:
    rounds = secure_round(100)
    rounds.go_on(130)
    assert given_up(rounds, 140) is None
    assert rounds.wake_at == 190
    assert rounds.look(189) is None
    assert isinstance(rounds.look(190), Opened)


def test_after_one_that_ends_at_a_stages_deadline_the_next_opens_at_once() -> None:
    rounds = secure_round(100)
    assert rounds.tick(160) is None
    assert isinstance(given_up(rounds, 161), Opened)


def test_a_stage_that_ended_late_is_waited_for_no_longer_and_the_next_has_its_time() -> None:
    rounds = secure_round(100)
    for now in (160, 220):  # a full disk keeps it from being closed
        assert rounds.tick(now) is None
        assert rounds.deadline == now + 60
    rounds.go_on(230)
    assert rounds.deadline == 290
    assert given_up(rounds, 240) is None
    assert rounds.wake_at == 290
