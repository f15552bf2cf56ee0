"""How well a device has done lately, by its person's answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from edge_client.device.stored_utterance import StoredUtterance

WEEKS: Final = 8
"""Weeks that are told."""

MOST_ANSWERS: Final = 2000
"""Answers that are looked at, the newest."""


@dataclass(frozen=True, slots=True)
class Week:
    """A week of answers.

    Attributes
    ----------
    begins
        Its Monday.
    answered
        Utterances of the week that were recognised, and answered by the person.
    right
        Those of them whose label is what was recognised.
    current
        Whether it is this week.
    """

    begins: date
    answered: int
    right: int
    current: bool


def by_week(
    answered: Iterable[StoredUtterance], zone: tzinfo | None = None, now: datetime | None = None
) -> list[Week]:
    """Count answers by the week in which their utterances were heard.

    Parameters
    ----------
    answered
        Utterances with a prediction and a label.
    zone
        Where it is Monday; this machine's own place if not given.
    now
        Which week is this one; the machine's own time if not given.

    Returns
    -------
    list of Week
        The newest first, at most :data:`WEEKS`; weeks without answers are left out.
    """
    counts: dict[date, list[int]] = {}
    for each in answered:
        count = counts.setdefault(_monday(each.heard_at.astimezone(zone)), [0, 0])
        count[0] += 1
        count[1] += each.label == each.predicted
    this = _monday((now or datetime.now(UTC)).astimezone(zone))
    newest = sorted(counts, reverse=True)[:WEEKS]
    return [Week(day, counts[day][0], counts[day][1], current=day == this) for day in newest]


def _monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())
