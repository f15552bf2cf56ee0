"""How well a device has done lately."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

from edge_client.device.lately import WEEKS, Week, by_week
from edge_client.device.stored_utterance import StoredUtterance
from tests.edge_client.device.heard import Open, hear, recognised

SUNDAY = datetime(2026, 1, 4, 23, 30, tzinfo=UTC)


def said(label: str, at: datetime) -> StoredUtterance:
    """Give an utterance that was taken for happy."""
    return replace(recognised(), label=label, heard_at=at)


def test_answers_are_counted_by_the_week_of_their_utterances() -> None:
    answers = [
        said("happy", SUNDAY),
        said("sad", SUNDAY - timedelta(days=6)),
        said("happy", SUNDAY + timedelta(hours=1)),
    ]
    assert by_week(answers, UTC, SUNDAY + timedelta(days=3)) == [
        Week(date(2026, 1, 5), 1, 1, current=True),
        Week(date(2025, 12, 29), 2, 1, current=False),
    ]
    assert not any(week.current for week in by_week(answers, UTC, SUNDAY + timedelta(days=8)))
    east = timezone(timedelta(hours=2))
    assert [week.answered for week in by_week(answers, east)] == [2, 1], "it is Monday there"
    assert [week.current for week in by_week(answers, east, SUNDAY)] == [True, False]


def test_weeks_long_ago_are_left_out() -> None:
    answers = [said("happy", SUNDAY - timedelta(weeks=back)) for back in range(WEEKS + 3)]
    weeks = by_week(answers, UTC)
    assert len(weeks) == WEEKS
    assert weeks[0].begins == date(2025, 12, 29)


def test_a_device_counts_what_was_recognised_and_answered(start: Open) -> None:
    device = start()
    heard = [hear(device, seed) for seed in range(4)]
    device.correct(heard[0].identifier, str(heard[0].predicted))
    other = next(name for name in heard[1].names if name != heard[1].predicted)
    device.correct(heard[1].identifier, other)
    device.discard(heard[2].identifier)
    (week,) = device.lately()
    assert (week.answered, week.right) == (2, 1)
    device.undo()
    device.close()
    without = start(model=False)
    assert [(week.answered, week.right) for week in without.lately()] == [(2, 1)]
