"""Rounds at the pace of people: nothing without something to learn, and not all the time."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened, SynchronousRounds
from aggregator.settings import AggregatorSettings
from aggregator.strategies.sampling import sample
from shared.errors import SettingsError
from shared.randomness import stream
from shared.round_settings import LONGEST_ROUND, MOST_ASKED
from tests.aggregator.driver import kill, put, random_update, settings

HOUR = 3600.0
DAY = 24 * HOUR


def rules(**values: Any) -> AggregatorSettings:
    """Give the settings of who says nothing else."""
    return AggregatorSettings.parse({"quorum": 1, **values})


def play(rounds: SynchronousRounds, now: float) -> None:
    """Let everybody who is invited answer the open round."""
    for client in sorted(rounds.invited):
        rounds.accept(client)
    rounds.end(now)


def test_a_quorum_alone_opens_no_round() -> None:
    rounds = SynchronousRounds(rules(quorum=2))
    for client in ("a", "b", "c"):
        rounds.present.come(client)
        assert rounds.look(0) is None
    assert rounds.wake_at is None, "only a label can change it"
    rounds.present.come("c", news=True)
    assert rounds.look(1) == Opened(1, ("a", "b", "c"), 3), "those with nothing new take part too"


def test_what_an_update_holds_is_new_no_more() -> None:
    rounds = SynchronousRounds(rules(every=0))
    rounds.present.come("a", news=True)
    assert isinstance(rounds.look(0), Opened)
    play(rounds, 1)
    assert (rounds.phase, rounds.look(2)) == ("waiting", None)
    rounds.present.come("a", news=True)
    assert isinstance(rounds.look(3), Opened)


@pytest.mark.parametrize("come", [True, False])
def test_who_goes_takes_what_is_new_along(*, come: bool) -> None:
    rounds = SynchronousRounds(rules())
    rounds.present.come("a", news=True)
    rounds.present.leave("a") if come else rounds.present.forget()
    rounds.present.come("b")
    assert rounds.look(0) is None
    rounds.present.come("a")
    assert rounds.look(0) is None, "it says anew what it has"


def test_rounds_open_no_closer_to_each_other_than_told() -> None:
    rounds = SynchronousRounds(rules(every=100))
    rounds.start(0)
    rounds.present.come("a", news=True)
    assert isinstance(rounds.look(10), Opened)
    play(rounds, 20)
    assert rounds.wake_at is None, "there is nothing new"
    rounds.present.come("a", news=True)
    assert rounds.look(30) is None
    assert rounds.awaits_its_time
    assert rounds.wake_at == 110
    assert rounds.tick(109.9) is None
    step = rounds.tick(110)
    assert isinstance(step, Opened)
    assert (step.number, rounds.deadline) == (2, 710)


@given(
    st.sets(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 4), st.integers(1, 1_000_000)
)
def test_whoever_is_drawn_one_of_them_has_what_the_round_opens_for(
    news: set[str], wanted: int, number: int
) -> None:
    rounds = SynchronousRounds(rules(quorum=8, clients_per_round=wanted), ended=number - 1)
    for client in "abcdefgh":
        rounds.present.come(client, news=client in news)
    step = rounds.look(0)
    assert isinstance(step, Opened)
    assert len(step.invited) == wanted
    assert news.intersection(step.invited)
    drawn = sample("abcdefgh", wanted, stream(0, "sampling", number))
    assert not news.intersection(drawn) or list(step.invited) == drawn


def test_with_nothing_new_asked_for_rounds_go_on_at_their_pace() -> None:
    rounds = SynchronousRounds(rules(new_examples=0, every=100))
    rounds.present.come("a")
    assert isinstance(rounds.look(0), Opened)
    play(rounds, 5)
    assert rounds.wake_at == 100
    assert isinstance(rounds.tick(100), Opened)


def test_there_is_no_last_round_unless_one_is_given() -> None:
    rounds = SynchronousRounds(rules(), ended=999_999)
    assert (rounds.phase, rounds.number) == ("waiting", 1_000_000)
    assert SynchronousRounds(rules(rounds=7), ended=7).phase == "finished"
    with pytest.raises(SettingsError, match="a cosine schedule needs rounds"):
        rules(schedule="cosine")


@pytest.mark.usefixtures("tiny")
def test_a_killed_aggregator_waits_for_the_rest_of_the_pause_alone(tmp_path: Path) -> None:
    now = 1e9
    given = settings(tmp_path, quorum=1, every=100, new_examples=3)

    def federation() -> Federation:
        return Federation(given, clock=lambda: now)

    first = federation()
    first.rounds.start(0)
    first.rounds.present.come("anna", news=True)
    opened = first.rounds.look(0)
    assert isinstance(opened, Opened)
    first.open_round(opened)
    now += 30
    kill(first)

    second = federation()
    assert second.rounds.start(7) == opened, "the open round goes on"
    closed = put(second, 1, random_update("anna", 1))
    second.close_round(closed)  # type: ignore[arg-type] # one update closes it
    assert second.rounds.end(8) is None
    second.rounds.present.come("anna", news=True)
    assert second.rounds.wake_at == 77
    now += 30
    kill(second)

    for by, wake_at in ((0, 41), (1e6, 1 - 1e6 + 40), (-2e6, 101)):
        now += by
        with federation() as third:
            third.rounds.start(1)
            third.rounds.present.come("anna", news=True)
            assert third.rounds.wake_at == pytest.approx(wake_at), "never more than one pause"


def test_a_shelf_of_five_devices_learns_a_few_times_a_day() -> None:
    """Each is asked now and then from 7 to 23 h, and answers forty times a day."""
    given = rules(quorum=3)
    rounds = SynchronousRounds(given)
    rounds.start(0)
    labelled = dict.fromkeys("abcde", 0)
    learned = dict(labelled)
    opened: list[float] = []
    for minute in range(3 * 24 * 60):
        now = minute * 60.0
        for place, client in enumerate(labelled):
            hour = now % DAY / HOUR
            if 7 <= hour < 23 and (minute + 5 * place) % 24 == 0:
                labelled[client] += 1
            if labelled[client] >= given.least_examples:
                news = labelled[client] - learned[client] >= given.new_examples
                rounds.present.come(client, news=news)
        if isinstance(rounds.tick(now), Opened):
            opened.append(now)
            learned.update({client: labelled[client] for client in rounds.invited})
            play(rounds, now)
    days = [sum(day * DAY <= time < (day + 1) * DAY for time in opened) for day in range(3)]
    assert days == [4, 5, 4]
    assert opened[0] > 7 * HOUR + 7 * 24 * 60, "each has eight first"


def test_one_device_with_one_example_gets_no_round_by_default() -> None:
    defaults = AggregatorSettings()
    assert (defaults.rounds, defaults.least_examples, defaults.new_examples) == (None, 8, 5)
    assert defaults.every == 4 * HOUR


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("new_examples", 0, MOST_ASKED),
        ("least_examples", 1, MOST_ASKED),
        ("every", 0, LONGEST_ROUND),
    ],
)
def test_each_setting_has_its_bounds(name: str, least: float, most: float) -> None:
    for value in (least, most):
        assert getattr(AggregatorSettings.parse({name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(SettingsError, match=name):
            AggregatorSettings.parse({name: value})
    with pytest.raises(SettingsError, match=name):
        AggregatorSettings.parse({name: "nan"})


def test_while_it_is_paused_no_round_opens_and_an_open_one_goes_on() -> None:
    rounds = SynchronousRounds(rules(every=0))
    rounds.present.come("a", news=True)
    assert isinstance(rounds.look(0), Opened)
    rounds.paused = True
    play(rounds, 1)
    rounds.present.come("a", news=True)
    assert rounds.look(2) is None
    assert rounds.wake_at is None
    assert rounds.tick(DAY) is None
    rounds.paused = False
    assert rounds.look(DAY) == Opened(2, ("a",), 1)


def test_it_stays_paused_after_a_kill(tmp_path: Path) -> None:
    before = Federation(settings(tmp_path))
    before.pause(paused=True)
    kill(before)
    with Federation(settings(tmp_path)) as after:
        assert after.rounds.paused
        after.pause(paused=False)
    with Federation(settings(tmp_path)) as last:
        assert not last.rounds.paused
