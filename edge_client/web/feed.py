"""What all open pages of a device show, computed once however many there are."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from edge_client.web.device_like import DeviceLike
from shared.errors import ChorusError
from shared.task import Task
from shared.web.events import HEARTBEAT, Broadcast, Reader, event

log = logging.getLogger(__name__)

RECENT: Final = 20
"""How many utterances a page shows."""

PAGE_KEYS: Final = "jknpruxy"
"""Keys of the page that are no label's."""

PULSE: Final = 0.25
"""Seconds between looks at the level and the status, while a page is open."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds between two looks, however often the device changes."""


class Feed:
    """Watches a device and tells all open pages of its changes.

    The events are ``state``, with everything the page shows, and ``level``, with the level in dBFS
    and the device's clock. Each state is whole, so a page that misses one misses nothing. The
    device is never kept waiting: its changes only wake a thread.

    Parameters
    ----------
    device
        The device.
    name
        What the device is called; empty if nothing.
    silence
        Seconds after which a page is told the level at the latest.
    """

    def __init__(self, device: DeviceLike, name: str = "", silence: float = HEARTBEAT) -> None:
        self._device = device
        self._name = name
        self._labels = _labels_of(device.task)
        self._broadcast = Broadcast(self._tell_level, silence)
        self._closed = False
        self._level: float | None = None
        self._stirred = threading.Event()
        self._unsubscribe = device.subscribe(self._stir)
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
            self._stir()
            yield reader

    def close(self) -> None:
        """End the events of all pages."""
        self._unsubscribe()
        self._closed = True
        self._broadcast.close()
        self._stir()
        self._thread.join()

    def _tell_level(self) -> bytes:
        now = datetime.now(UTC)
        return event("level", to_json({"level": self._level, "now": now}))

    def _stir(self, *_: object) -> None:
        self._stirred.set()

    def _watch(self) -> None:
        status: dict[str, Any] = {}
        while not self._closed:
            # Where the wait was in vain nothing is cleared: what comes just then would be lost.
            if stirred := self._stirred.wait(PULSE if self.readers else None):
                self._stirred.clear()
            if not self.readers:
                continue
            before = status
            try:
                status = dict(self._device.status())
                level = _finite(status.pop("level", None))
                state = self._encode(status) if stirred or status != before else None
            except ChorusError as error:
                state, level = _problem(error.message), None
            except Exception:
                # One failure of the device must not end the page for good.
                log.exception("The device could not tell its state to its page.")
                state, level = _problem("is_broken"), None
            self._publish(state, level)
            time.sleep(SHORTEST_PAUSE)

    def _encode(self, status: dict[str, Any]) -> bytes:
        device = self._device
        state = {
            "labels": self._labels,
            "recent": [
                {
                    "id": each.identifier,
                    "heard_at": each.heard_at,
                    "seconds": each.seconds,
                    "predicted": each.predicted,
                    "probabilities": [each.shares.get(name) for name in device.task.names],
                    "label": each.label,
                    "unsure": each.unsure,
                    "discarded": each.discarded,
                    "sound": device.sound(each.identifier) is not None,
                }
                for each in device.recent(RECENT)
                if not each.discarded
            ],
            "counts": dict(device.counts()),
            "name": self._name,
            "weeks": [
                {
                    "begins": week.begins,
                    "current": week.current,
                    "answered": week.answered,
                    "right": week.right,
                }
                for week in device.lately()
            ],
            "status": status,
            "paused": device.paused,
        }
        # Browsers take no NaN.
        return to_json(state, inf_nan_mode="null", fallback=str)

    def _publish(self, state: bytes | None, level: float | None) -> None:
        level_is_new = level != self._level
        self._level = level
        if state is not None:
            self._broadcast.tell("state", state)
        if level_is_new:
            self._broadcast.beat()


def _labels_of(task: Task) -> list[dict[str, str | None]]:
    """Tell what people see of the labels, and the key of each that has one."""
    keys = {name: key for key, name in task.keys(PAGE_KEYS).items()}
    return [{**asdict(label), "key": keys.get(label.name)} for label in task.labels]


def _finite(level: float | None) -> float | None:
    """Take silence, which is minus infinity, as no level; JSON has none."""
    return level if level is not None and math.isfinite(level) else None


def _problem(text: str) -> bytes:
    """Tell a problem, a sentence or a key of the page's texts, in place of the state."""
    return to_json({"status": {"problem": text}})
