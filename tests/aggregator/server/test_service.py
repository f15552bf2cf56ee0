"""The service's loop: a disk that is full for a while, floods, what it says of clients."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from aggregator.server.rejections import Rejections
from shared.errors import StorageError
from tests.end_to_end.federation.world import World, simulated, world


@pytest.fixture
def it() -> Iterator[World]:
    with world() as one:
        one.start()
        yield one


def fill(target: object, name: str, times: int, patch: pytest.MonkeyPatch) -> list[None]:
    """Let the disk be full for some calls of a method; give a list that grows with them."""
    whole = getattr(target, name)
    failed: list[None] = []

    def full(*arguments: Any, **more: Any) -> Any:
        if len(failed) < times:
            failed.append(None)
            raise StorageError("The disk is full.", "Free some space.")
        return whole(*arguments, **more)

    patch.setattr(target, name, full)
    return failed


@pytest.mark.parametrize(
    ("owner", "name"),
    [("federation", "open_round"), ("federation", "close_round"), ("ledger", "accept")],
)
def test_what_a_full_disk_prevented_is_done_when_there_is_room(
    owner: str, name: str, it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert it.server
    federation = it.server.federation
    target = federation if owner == "federation" else federation.ledger
    failed = fill(target, name, 3, monkeypatch)
    it.settle()
    assert len(failed) == 3
    it.check(simulated())


def test_a_round_that_is_not_written_down_is_not_announced(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert it.server
    failed = fill(it.server.federation, "open_round", 30, monkeypatch)
    it.settle(until=lambda: failed)
    # It is back, and tells where the federation stands.
    it.network.cut(it.server.link)
    it.settle(until=lambda: len(failed) > 10)
    assert it.server.federation.ledger.last_round() is None
    it.settle()
    it.check(simulated())


def test_a_refusal_that_cannot_be_written_ends_nothing(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.end_to_end.federation.hostile import Mallory, update_file

    assert it.server
    failed = fill(it.server.federation.ledger, "refuse", 1, monkeypatch)
    it.settle(until=lambda: it.server and it.server.federation.ledger.last_round())
    Mallory(it, "mallory").send(update_file())
    it.settle()
    assert failed
    it.check(simulated())


def test_it_does_not_repeat_itself_and_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    rejections = Rejections()
    assert rejections.about("anna", "It is late.")
    assert not rejections.about("anna", "It is late.")
    assert rejections.about("ben", "It is late.")
    rejections.forget()
    assert rejections.about("anna", "It is late.")
    caplog.clear()
    for number in range(100):
        rejections.about("anna", f"It is late by {number}.")
    assert len(caplog.records) == 10
    for number in range(5000):
        rejections.about(f"client-{number}", "It is late.")
    assert len(caplog.records) < 1010
