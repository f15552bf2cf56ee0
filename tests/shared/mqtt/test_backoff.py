"""Waits between attempts."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.mqtt import backoff as module
from shared.mqtt.backoff import Backoff


def test_backoff_grows_with_jitter_and_begins_anew_after_a_connection_that_held() -> None:
    now = [0.0]
    backoff = Backoff(1.0, 60.0, random.Random(1), lambda: now[0])  # noqa: S311 - jitter
    waits = [backoff.next() for _ in range(40)]
    assert all(wait <= 60.0 for wait in waits)
    assert all(2**n / 2 <= wait <= 2**n for n, wait in zip(range(6), waits, strict=False))
    assert min(waits[6:]) >= 30.0
    assert len(set(waits)) == len(waits)
    backoff.connected()
    now[0] = module._HELD - 1
    assert backoff.next() >= 30.0
    backoff.connected()
    now[0] += module._HELD
    assert backoff.next() <= 1.0


def test_backoff_begins_anew_when_a_transfer_got_on_however_short_the_connection() -> None:
    backoff = Backoff(1.0, 60.0, random.Random(1), lambda: 0.0)  # noqa: S311 - jitter
    for progresses in (True, True, False, False):
        for _ in range(6):
            backoff.next()
        backoff.connected()
        if progresses:
            backoff.progressed()
        assert (backoff.next() <= 1.0) == progresses


def test_a_connection_that_is_lost_at_once_twice_is_told_from_one_that_is_lost() -> None:
    now = [0.0]
    backoff = Backoff(clock=lambda: now[0])
    backoff.next()
    assert not backoff.lost_again, "there was none"
    lost = []
    for seconds in (1, 1, module._HELD, 1, 1):
        backoff.connected()
        now[0] += seconds
        lost.append(backoff.lost_again)
        backoff.next()
        backoff.next()  # a broker that is away in between
    assert lost == [False, True, False, False, True]


@given(st.integers(), st.floats(0.01, 10), st.integers(1, 100))
def test_no_wait_is_shorter_than_the_one_before(seed: int, first: float, count: int) -> None:
    backoff = Backoff(first, 1e30, random.Random(seed))  # noqa: S311 - jitter
    waits = [backoff.next() for _ in range(min(count, 30))]
    assert all(after >= before for before, after in pairwise(waits))
