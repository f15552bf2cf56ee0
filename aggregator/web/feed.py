"""What all open pages of a federation show, gathered once however many there are."""

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, TypeVar

from pydantic_core import to_json

from aggregator.ledger import ClientRecord, RoundRecord, UpdateRecord
from aggregator.ledger.model_files import files_of
from aggregator.web.enrolled import Enrolled, Enrolment
from aggregator.web.overview import Overview, Snapshot
from aggregator.web.standing import Look
from shared.errors import ChorusError
from shared.web.events import HEARTBEAT, Broadcast, Reader, event

log = logging.getLogger(__name__)

PULSE: Final = 0.25
"""Seconds between looks whether something has changed, while a page is open."""

SHORTEST_PAUSE: Final = 0.25
"""Seconds of rest after each look."""

REST: Final = 9
"""Times what a look has taken that the feed rests after it: a tenth of one core at most."""

MOST_DEVICES: Final = 1000
"""Devices that are told one by one: those that are there, and those that were there last."""

MOST_POINTS: Final = 500
"""Points of a curve; of more rounds only every second, third ... is told."""

MOST_NAMES: Final = 20
"""Clients named with a round."""

LONGEST: Final = 300
"""Characters of a text from elsewhere."""

_STANDING: Final = (
    *("phase", "number", "ready", "quorum", "counted", "wanted", "waiting", "paused", "stage"),
)

_NOBODY: Final[Mapping[str, Enrolment]] = {}

Told = TypeVar("Told")


class Feed:
    """Watches a federation and tells all open pages of its changes.

    Each event is whole, so a page that misses one misses nothing: ``now`` (the round under way),
    ``federation`` (what it is), ``devices``, ``rounds``, ``course`` (scores over rounds),
    ``models``, ``refusals``, ``traffic`` (bytes), and ``clock``, after all others and after each
    silence, with the aggregator's time and the seconds until the deadline. Times are milliseconds
    since 1970, UTC.

    Parameters
    ----------
    overview
        What the ledger tells.
    look
        Says where the federation stands.
    enrolled
        Who may take part, in a federation by invitation.
    silence
        Seconds after which a page is told the time at the latest.
    """

    def __init__(
        self,
        overview: Overview,
        look: Look,
        enrolled: Enrolled | None = None,
        silence: float = HEARTBEAT,
    ) -> None:
        self._overview = overview
        self._look = look
        self._enrolled = enrolled
        self._files = files_of(overview.history)
        self._broadcast = Broadcast(self._tell_time, silence)
        self._told: tuple[Snapshot, Mapping[str, Enrolment]] | None = None
        self._stirred = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="web-feed", daemon=True)
        self._thread.start()

    @property
    def readers(self) -> int:
        """How many pages are open."""
        return self._broadcast.readers

    @contextmanager
    def reader(self) -> Iterator[Reader | None]:
        """Open the queue of one page, or give ``None`` if there are too many pages."""
        with self._broadcast.reader() as reader:
            self._stirred.set()
            yield reader

    def close(self) -> None:
        """End the events of all pages."""
        self._closed.set()
        self._broadcast.close()
        self._stirred.set()
        self._thread.join()

    def _tell_time(self) -> bytes:
        seconds = self._look().seconds
        return event("clock", to_json({"now": _milliseconds(time.time()), "seconds": seconds}))

    def _watch(self) -> None:
        while True:
            # Where the wait was in vain nothing is cleared: who comes just then would be forgotten.
            if self._stirred.wait(PULSE if self.readers else None):
                self._stirred.clear()
                self._told = None  # A page was opened, and is told everything.
            if self._closed.is_set():
                return
            if not self.readers:
                continue
            begun = time.perf_counter()
            self._tell()
            self._closed.wait(max(SHORTEST_PAUSE, REST * (time.perf_counter() - begun)))

    def _tell(self) -> None:
        problem = None
        try:
            snapshot = self._overview.read()
            enrolled = self._enrolled.read() if self._enrolled else _NOBODY
            told = self._told
            if not told or told[0] is not snapshot or told[1] is not enrolled:
                for name, content in self._events(snapshot, enrolled).items():
                    self._broadcast.tell(name, _json(content))
                self._told = snapshot, enrolled
        except ChorusError as error:
            problem = error.message
        except Exception:
            # One failure must not end the page for good.
            log.exception("The ledger could not be shown on the page.")
            problem = "is_broken"
        standing = self._look()
        now = {name: getattr(standing, name) for name in _STANDING}
        self._broadcast.tell("now", _json({**now, "problem": problem}))

    def _events(self, snapshot: Snapshot, enrolled: Mapping[str, Enrolment]) -> dict[str, Any]:
        return {
            "federation": self._federation(),
            "devices": _devices(snapshot, enrolled),
            "rounds": [_round(*each, snapshot) for each in snapshot.rounds],
            "course": {
                "corpus": self._overview.settings["validation_corpus"],
                "points": [asdict(point) for point in _thinned(snapshot.course)],
                "confusion": snapshot.confusion and asdict(snapshot.confusion),
            },
            "models": self._models(snapshot),
            "refusals": [
                {
                    "at": _milliseconds(each.at),
                    "client": plain(each.client),
                    "round": each.round,
                    "reason": plain(each.reason),
                    "sentence": plain(each.sentence),
                }
                for each in snapshot.refusals
            ],
            "traffic": {
                "codecs": [
                    {"codec": plain(name), "updates": number, "bytes": snapshot.tally.bytes[name]}
                    for name, number in snapshot.tally.updates.items()
                ],
                "up": sum(client.bytes_up for client in snapshot.clients),
                "down": sum(client.bytes_down for client in snapshot.clients),
            },
        }

    def _federation(self) -> dict[str, Any]:
        settings = self._overview.settings
        return {
            "name": settings["federation"],
            "model": settings["model"],
            "strategy": settings["strategy"],
            "rounds": settings["rounds"],
            "by_invitation": self._enrolled is not None,
            "labels": [plain(label.word) for label in self._overview.task.labels],
        }

    def _models(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Tell the newest versions, and which of them the current one comes from."""
        following = snapshot.versions[0].number if snapshot.versions else None
        told = []
        for version in snapshot.versions:
            ancestor = version.number == following
            if ancestor:
                following = version.parent
            told.append(
                {
                    "version": version.number,
                    "round": version.round,
                    "origin": version.origin,
                    "parent": version.parent,
                    "digest": version.exported[:12],
                    "bytes": version.bytes,
                    "uar": snapshot.model_scores.get(version.number),
                    "created": _milliseconds(version.created),
                    "kept": self._files.has(version),
                    "ancestor": ancestor,
                }
            )
        return told


def plain(text: str) -> str:
    """Make a text from elsewhere short, and show what it hides: controls, directions, surrogates.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        At most :data:`LONGEST` characters and an ellipsis; what cannot be printed is ``�``.
    """
    shown = "".join(each if each.isprintable() else "�" for each in text[:LONGEST])
    return shown + "…" if len(text) > LONGEST else shown


def _devices(snapshot: Snapshot, enrolled: Mapping[str, Enrolment]) -> dict[str, Any]:
    """Tell the devices, and what each does in the round under way."""
    newest, updates = snapshot.rounds[0] if snapshot.rounds else (None, ())
    under_way = newest if newest and newest.ended is None else None
    invited = set(under_way.invited) if under_way else set()
    sent = {update.client: update.bytes for update in updates} if under_way else {}

    def seen_last(client: ClientRecord) -> tuple[bool, float]:
        return not client.present, -client.last_seen

    chosen = sorted(snapshot.clients, key=seen_last)[:MOST_DEVICES]
    devices = [
        {
            "name": plain(client.name),
            "present": client.present,
            "trains": client.trains,
            "seen": _milliseconds(client.last_seen),
            "examples": client.examples,
            "supply": plain(client.supply),
            "score": snapshot.tally.scores.get(client.name),
            "updates": client.updates,
            "up": client.bytes_up,
            "down": client.bytes_down,
            "software": plain(client.software),
            "invited": client.name in invited,
            "sent": sent.get(client.name),
            **_enrolment(enrolled.get(client.name, Enrolment())),
        }
        for client in sorted(chosen, key=lambda client: client.name)
    ]
    unseen = enrolled.keys() - {client.name for client in snapshot.clients}
    newcomers = [
        {"name": name, **_enrolment(enrolled[name])} for name in sorted(unseen)[:MOST_DEVICES]
    ]
    left_out = len(snapshot.clients) - len(devices)
    return {"devices": devices, "newcomers": newcomers, "more": left_out}


def _enrolment(known: Enrolment) -> dict[str, Any]:
    since, expires = known.since, known.expires
    return {
        "key": known.key,
        "since": None if since is None else _milliseconds(since),
        "expires": None if expires is None else _milliseconds(expires),
    }


def _round(
    record: RoundRecord, updates: Sequence[UpdateRecord], snapshot: Snapshot
) -> dict[str, Any]:
    return {
        "number": record.number,
        "state": record.state,
        "base": record.base,
        "wanted": record.wanted,
        "invited": len(record.invited),
        "updates": len(updates),
        "clients": [plain(update.client) for update in updates[:MOST_NAMES]],
        "bytes": sum(update.bytes for update in updates),
        "loss": record.loss,
        "uar": None if record.confusion is None else snapshot.model_scores.get(record.base),
        "opened": _milliseconds(record.opened),
        "ended": None if record.ended is None else _milliseconds(record.ended),
        "note": plain(record.note),
    }


def _thinned(points: Sequence[Told]) -> Sequence[Told]:
    """Leave out points of a long course evenly; the last one stays."""
    step = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::-1][::step][::-1]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _json(content: Any) -> bytes:
    # Browsers take no NaN.
    return to_json(content, inf_nan_mode="null")
