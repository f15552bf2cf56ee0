"""What the aggregator announces, and when it may go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened, Step
from aggregator.server.announcer import Announcer
from aggregator.server.farewell import Farewell
from aggregator.settings import AggregatorSettings
from shared.protocol.messages import Announcement
from tests.aggregator.driver import come, play, settings
from tests.loop_driver import LoopDriver

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with Federation(settings(tmp_path, rounds=1, round_seconds=60)) as opened:
        opened.rounds.start(0)
        yield opened


def test_an_announcement_says_where_the_federation_stands(federation: Federation) -> None:
    said: list[Announcement] = []

    def publish(announcement: Announcement) -> bool:
        said.append(announcement)
        return True

    announcer = Announcer(federation, publish, clock=lambda: 20.0)
    assert announcer.announce()
    assert not announcer.told_end
    come(federation, ["ben", "anna"])
    announcer.announce()
    waiting, opened = said
    assert (waiting.state, waiting.round, waiting.clients) == ("waiting", 1, None)
    assert (opened.state, opened.round, opened.clients) == ("open", 1, ["anna", "ben"])
    assert (waiting.closes_in, opened.closes_in) == (None, 40.0)
    assert opened.model.digest == federation.current.digest
    assert opened.model.size == federation.files.path(opened.model.digest).stat().st_size


def test_what_others_announce_is_told_from_what_itself_has_said(federation: Federation) -> None:
    said: list[bytes] = []

    def publish(announcement: Announcement) -> bool:
        said.append(announcement.encode())
        return True

    announcer = Announcer(federation, publish, clock=lambda: 20.0)
    assert not announcer.contradicts(b"what an earlier process has said")
    announcer.announce()
    come(federation, ["anna", "ben"])
    announcer.announce()
    # Of all that comes before its last word, that makes an end.
    assert not announcer.contradicts(said[0])
    assert not announcer.contradicts(b"forged")
    assert not announcer.contradicts(said[1])
    assert not announcer.contradicts(said[1])
    assert announcer.contradicts(b"forged")
    assert announcer.contradicts(b"")
    assert announcer.contradicts(said[0])
    announcer.announce()
    assert not announcer.contradicts(b"forged")


@pytest.mark.parametrize("sent", [True, False])
def test_the_end_is_told_when_it_was_sent(federation: Federation, *, sent: bool) -> None:
    come(federation, ["anna", "ben"])
    federation.rounds.accept("anna")
    federation.rounds.accept("ben")
    federation.rounds.end(0)
    announcer = Announcer(federation, lambda _: sent, clock=lambda: 0.0)
    assert announcer.announce() == sent
    assert announcer.told_end == sent


def test_who_is_there_has_time_to_fetch_the_last_model() -> None:
    driver, there = LoopDriver(), ["anna"]
    farewell = Farewell(lambda: there, driver.loop.clock)
    farewell.connected()
    assert farewell.leave_at == driver.now + 10
    driver.now += 8
    farewell.asked()
    assert farewell.leave_at == driver.now + 10
    there.clear()
    assert farewell.leave_at == driver.now - 6, "the broker has told by then that nobody is there"


def test_the_difference_to_the_model_before_is_announced_and_after_a_rollback_none(
    tmp_path: Path,
) -> None:
    with Federation(settings(tmp_path, rounds=4, download_codec="int8")) as federation:
        said: list[Announcement] = []

        def publish(announcement: Announcement) -> bool:
            said.append(announcement)
            return True

        announcer = Announcer(federation, publish, clock=lambda: 20.0)
        federation.rounds.start(0)
        announcer.announce()
        step: Step = come(federation, ["anna", "ben"])
        for _ in range(2):
            assert isinstance(step, Opened)
            step = play(federation, step)
            announcer.announce()
        federation.roll_back(1)
        announcer.announce()
    first, second, third, back = said
    assert first.difference is None
    for before, after in ((first, second), (second, third)):
        assert after.difference
        assert (after.difference.base, after.difference.codec) == (before.model.digest, "int8")
        assert after.difference.file.size < after.model.size
    assert (back.model, back.difference) == (second.model, None)


@pytest.mark.parametrize(
    ("values", "noise_by"),
    [({}, "aggregator"), ({"secure": True, "by_invitation": True, "ring_bits": 16}, "devices")],
)
def test_a_privacy_budget_is_announced_with_who_adds_the_noise(
    tmp_path: Path, values: dict[str, Any], noise_by: str
) -> None:
    budget = {"state": tmp_path, "dp_epsilon": 1000, "rounds": 2, "clients_per_round": 3, **values}
    said: list[Announcement] = []

    def publish(announcement: Announcement) -> bool:
        said.append(announcement)
        return True

    with Federation(AggregatorSettings.parse(budget)) as federation:
        federation.rounds.start(0)
        Announcer(federation, publish, clock=lambda: 0.0).announce()
    (privacy,) = [told.privacy for told in said]
    assert privacy
    assert (privacy.epsilon, privacy.delta, privacy.rounds) == (1000, 1e-5, 2)
    assert privacy.noise_by == noise_by


def test_without_a_budget_none_is_announced(federation: Federation) -> None:
    said: list[Announcement] = []

    def publish(announcement: Announcement) -> bool:
        said.append(announcement)
        return True

    Announcer(federation, publish, clock=lambda: 0.0).announce()
    assert [told.privacy for told in said] == [None]
