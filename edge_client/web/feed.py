"""What all open pages show, computed once however many there are."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pydantic_core import to_json

from edge_client.web.device_like import DeviceLike
from shared.errors import ChorusError

log = logging.getLogger(__name__)

RECENT: Final = 20
"""How many utterances a page shows."""

MOST_READERS: Final = 8
"""Pages that are kept up to date at the same time."""

PULSE: Final = 0.25
"""Seconds between looks at the level and the status, while a page is open."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds between two looks, however often the device changes."""

HEARTBEAT: Final = 5.0
"""Seconds after which a page is told something at the latest, or it thinks the device is away."""


class Feed:
    """Watches a device and tells all readers of its changes.

    A reader has no queue: the next message after any number of changes holds the whole state, so a
    slow reader misses nothing and holds no memory. The device is never kept waiting: its changes
    only wake a thread.

    Parameters
    ----------
    device
        The device.
    """

    def __init__(self, device: DeviceLike) -> None:
        self._device = device
        self._readers = 0
        self._closed = False
        self._state = b""
        self._state_version = 0
        self._level: float | None = None
        self._level_version = 0
        self._published = threading.Condition()
        self._stirred = threading.Event()
        self._unsubscribe = device.subscribe(self._stir)
        self._thread = threading.Thread(target=self._watch, name="web-feed", daemon=True)
        self._thread.start()

    @property
    def readers(self) -> int:
        """How many pages are open."""
        return self._readers

    @contextmanager
    def reader(self) -> Iterator[Iterator[bytes] | None]:
        """Give the server-sent events for one page, or ``None`` if there are too many pages.

        The events are ``state``, with everything the page shows, and ``level``, with the level in
        dBFS and the device's clock.
        """
        with self._published:
            welcome = self._readers < MOST_READERS
            if welcome and self._readers == 0:
                # What the last reader saw is old.
                self._state, self._state_version = b"", 0
            self._readers += welcome
        try:
            if welcome:
                self._stir()
            yield self._messages() if welcome else None
        finally:
            with self._published:
                self._readers -= welcome

    def close(self) -> None:
        """End all readers."""
        self._unsubscribe()
        with self._published:
            self._closed = True
            self._published.notify_all()
        self._stir()
        self._thread.join()

    def _messages(self) -> Iterator[bytes]:
        seen = 0, 0
        while True:
            with self._published:
                self._published.wait_for(partial(self._has_news_since, seen), HEARTBEAT)
                if self._closed:
                    return
                state_is_new = seen[0] != self._state_version
                seen = self._state_version, self._level_version
                state, level = self._state, self._level
            if state_is_new:
                yield b"event: state\ndata: " + state + b"\n\n"
            # Always: it is the heartbeat too.
            now = datetime.now(UTC)
            yield b"event: level\ndata: " + to_json({"level": level, "now": now}) + b"\n\n"

    def _has_news_since(self, seen: tuple[int, int]) -> bool:
        return self._closed or seen != (self._state_version, self._level_version)

    def _stir(self, *_: object) -> None:
        self._stirred.set()

    def _watch(self) -> None:
        status: dict[str, Any] = {}
        while not self._closed:
            stirred = self._stirred.wait(PULSE if self._readers else None)
            self._stirred.clear()
            if not self._readers:
                continue
            before = status
            try:
                status = dict(self._device.status())
                level = _finite(status.pop("level", None))
                state = self._encode(status) if stirred or status != before else self._state
            except ChorusError as error:
                state, level = _problem(f"{error.problem} {error.remedy}".strip()), None
            except Exception:
                # One failure of the device must not end the page for good.
                log.exception("The device could not tell its state to its page.")
                state, level = _problem("is_broken"), None
            self._publish(state, level)
            time.sleep(SHORTEST_PAUSE)

    def _encode(self, status: dict[str, Any]) -> bytes:
        device = self._device
        state = {
            "recent": [
                {
                    "id": each.identifier,
                    "heard_at": each.heard_at,
                    "seconds": each.seconds,
                    "probabilities": list(map(float, each.probabilities or ())),
                    "label": each.label,
                    "discarded": each.discarded,
                    "sound": device.sound(each.identifier) is not None,
                }
                for each in device.recent(RECENT)
                if not each.discarded
            ],
            "counts": dict(device.counts()),
            "status": status,
            "paused": device.paused,
        }
        # Browsers take no NaN.
        return to_json(state, inf_nan_mode="null", fallback=str)

    def _publish(self, state: bytes, level: float | None) -> None:
        with self._published:
            if state != self._state:
                self._state = state
                self._state_version += 1
            if level != self._level:
                self._level = level
                self._level_version += 1
            self._published.notify_all()


def _finite(level: float | None) -> float | None:
    """Take silence, which is minus infinity, as no level; JSON has none."""
    return level if level is not None and math.isfinite(level) else None


def _problem(text: str) -> bytes:
    """Tell a problem, a sentence or a key of the page's texts, in place of the state."""
    return to_json({"status": {"problem": text}})
