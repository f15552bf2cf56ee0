"""What each client may ask for."""

import pytest

from aggregator.server import shares as module
from aggregator.server.shares import Shares
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_share_is_used_up_and_grows_again_up_to_what_it_was(clock: Clock) -> None:
    shares = Shares(10, 2, clock)
    assert shares.take("anna", 10)
    assert not shares.take("anna", 1)
    clock.now = 0.5
    assert shares.take("anna", 1)
    assert not shares.take("anna", 1)
    clock.now = 1000.0
    assert not shares.take("anna", 11)
    assert shares.take("anna", 10)


def test_what_is_too_much_costs_nothing(clock: Clock) -> None:
    shares = Shares(10, 1, clock)
    assert not shares.take("anna", 11)
    assert shares.take("anna", 10)


def test_one_does_not_take_from_another(clock: Clock) -> None:
    shares = Shares(10, 1, clock)
    assert shares.take("anna", 10)
    assert shares.take("ben", 10)
    assert "anna" in shares
    assert "cleo" not in shares
    assert shares.clients() == ["anna", "ben"]


def test_those_who_asked_least_recently_begin_anew(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CLIENTS", 3)
    shares = Shares(1, 0, clock)
    for client in ("anna", "ben", "cleo", "dora"):
        assert shares.take(client)
    assert not shares.take("ben")
    assert shares.take("anna")
    assert len(shares.clients()) == 3
