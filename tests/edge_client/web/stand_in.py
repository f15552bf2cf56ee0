"""A device that behaves as the real one, but hears what a test tells it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_client.device.lately import Week
from shared.audio import RATE
from shared.errors import ChorusError
from shared.task import DEFAULT_TASK, Task


@dataclass(frozen=True)
class Heard:
    identifier: int
    heard_at: datetime
    seconds: float
    shares: dict[str, float]
    label: str | None = None
    discarded: bool = False
    unsure: bool = False

    @property
    def predicted(self) -> str | None:
        return max(self.shares, key=lambda name: self.shares[name]) if self.shares else None


class StandIn:
    def __init__(self, task: Task = DEFAULT_TASK) -> None:
        self.task = task
        self.paused = False
        self.level: float | None = -20.0
        self.facts: dict[str, Any] = {
            "model": {"architecture": "conv", "digest": "4f1c9a" * 10 + "77aa", "personal": False},
            "training": None,
            "round": None,
            "problem": None,
        }
        self.weeks: list[Week] = []
        self.broken: Exception | None = None
        self.subscribers: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._heard: dict[int, Heard] = {}
        self._sounds: dict[int, NDArray[np.float32]] = {}
        self._before: list[Heard] = []

    def hear(
        self,
        *probabilities: float,
        seconds: float = 1.5,
        at: datetime | None = None,
        sound: bool = True,
        kept: bool = True,
        unsure: bool = False,
    ) -> int:
        assert not self.paused
        with self._lock:
            number = len(self._heard) + 1
            number = number if kept else -number
            at = at or datetime.now(UTC)
            shares = dict(zip(self.task.names, probabilities, strict=False))
            self._heard[number] = Heard(number, at, seconds, shares, unsure=unsure)
            if sound:
                times = np.arange(int(seconds * RATE)) / RATE
                self._sounds[number] = np.sin(2 * np.pi * 440 * times).astype(np.float32)
        self.tell()
        return number

    def recent(self, limit: int) -> Sequence[Heard]:
        with self._lock:
            shown = [each for each in self._heard.values() if not each.discarded]
            return shown[::-1][:limit]

    def get(self, identifier: int) -> Heard:
        with self._lock:
            if identifier not in self._heard:
                raise ChorusError(f"There is no utterance {identifier}.", "It was deleted.")
            return self._heard[identifier]

    def confirm(self, identifier: int) -> None:
        """Do as the page does when the person says that what it shows is right."""
        predicted = self.get(identifier).predicted
        assert predicted
        self.correct(identifier, predicted)

    def correct(self, identifier: int, label: str) -> None:
        self._change(replace(self.get(identifier), label=label, discarded=False))

    def discard(self, identifier: int) -> None:
        self._sounds.pop(identifier, None)
        self._change(replace(self.get(identifier), discarded=True))

    def undo(self) -> Heard | None:
        with self._lock:
            if not self._before:
                return None
            before = self._before.pop()
            self._heard[before.identifier] = before
        self.tell()
        return before

    def counts(self) -> dict[str, int]:
        if self.broken:
            raise self.broken
        with self._lock:
            labels = [each.label for each in self._heard.values() if not each.discarded]
        return {name: labels.count(name) for name in self.task.names}

    def sound(self, identifier: int) -> NDArray[np.float32] | None:
        return self._sounds.get(identifier)

    def forget_sounds(self) -> None:
        self._sounds.clear()

    def pause(self) -> None:
        self.paused = True
        self.tell()

    def resume(self) -> None:
        self.paused = False
        self.tell()

    def lately(self) -> list[Week]:
        return self.weeks

    def delete_everything(self) -> None:
        with self._lock:
            self._heard.clear()
            self._sounds.clear()
            self._before.clear()
        self.tell()

    def status(self) -> dict[str, Any]:
        state = "paused" if self.paused else "listening"
        return {"state": state, "level": self.level, **self.facts}

    def subscribe(self, callback: Callable[..., None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def tell(self) -> None:
        for callback in list(self.subscribers):
            callback()

    def _change(self, heard: Heard) -> None:
        with self._lock:
            self._before.append(self._heard[heard.identifier])
            self._heard[heard.identifier] = heard
        self.tell()
