"""What the parts of the program report, and what the person should know of them."""

import logging
import threading
from typing import Any

_log = logging.getLogger(__name__)


class Reports:
    """How each part of the program is, and sentences about what is wrong.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        reported = ("source", "round", "first_minute")
        self._parts: dict[str, dict[str, Any] | None] = dict.fromkeys(reported)
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def parts(self) -> dict[str, dict[str, Any] | None]:
        """What each part reported last, ``None`` if nothing."""
        with self._lock:
            return dict(self._parts)

    def listening(self, *, paused: bool, speaking: bool) -> str:
        """Say in a word how the listening is; see :meth:`Device.status`."""
        source = self.parts["source"]
        if paused:
            return "paused"
        if source is None:
            return "idle"
        if source.get("lost"):
            return "waiting"
        return "speaking" if speaking else "listening"

    @property
    def remarks(self) -> list[str]:
        """What the person should know, a sentence each."""
        with self._lock:
            remarks = [(part or {}).get("remark") for part in self._parts.values()]
            return [*self._said.values(), *filter(None, remarks)]

    def report(self, part: str, facts: dict[str, Any] | None) -> None:
        """Note how a part is; a ``remark`` among the facts is something the person should know."""
        with self._lock:
            self._parts[part] = facts

    def note(self, about: str, sentence: str | None) -> None:
        """Note what the person should know about something, or that all is well with it.

        A new sentence is a line of the log.
        """
        with self._lock:
            before = self._said.pop(about, None)
            if sentence:
                self._said[about] = sentence
        if sentence and sentence != before:
            _log.info("%s", sentence)
