"""The first minute: a device gets to know a voice and a room, and shows what changes by it."""

import logging
import threading
from typing import Any, Final

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.stored_utterance import StoredUtterance
from shared.errors import ChorusError

_log = logging.getLogger(__name__)

WANTED: Final = 4
"""Utterances that are asked for, whatever is said: as many as the starter's prior counts for."""

_LOOKED_AT: Final = 1000
"""The newest utterances among which those are looked for that were heard before."""


class FirstMinute:
    """Asks for the first utterances, and reports to the device what came of them.

    ``Device.status()["first_minute"]`` is ``None`` for a device that knew its person when it was
    started, or whose model does not go by what it has heard; else

    ``heard``, ``wanted``
        How many utterances there were, and how many are asked for.
    ``changed``
        Which of them the device would recognise otherwise by what it knows now: ``identifier``,
        ``heard_at`` (ISO 8601), ``before`` and ``now``.
    ``unknown``
        Labels of which the person has given no example: how they sound then is not known yet.

    Parameters
    ----------
    device
        The device; without a model nothing is asked for.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._changed: list[dict[str, Any]] = []
        self._first = self._before()
        self._over = len(self._first) >= WANTED
        self._unsubscribe = device.subscribe(self._on_device)
        if self._tell():
            _log.info(
                "Say %d things, whatever you like: the device gets to know your voice and the "
                "room, and recognises you meanwhile. Others in the room must know that it listens, "
                "and agree (docs/responsible-use.md).",
                WANTED - len(self._first),
            )

    def close(self) -> None:
        """Ask for nothing any more."""
        self._unsubscribe()

    def _before(self) -> list[StoredUtterance]:
        """List what was heard through this front end before, the oldest first."""
        front_end = str(self._device.task.front_end)
        kept = self._device.recent(_LOOKED_AT)
        own = [each for each in kept if each.identifier > 0 and each.source != "import"]
        return [each for each in own if each.front_end == front_end][::-1]

    def _on_device(self, event: DeviceEvent) -> None:
        match event.kind:
            case "heard" if event.recognition and len(self._first) < WANTED:
                with self._lock:
                    self._first.append(event.recognition)
                    self._changed = self._look_again()
            case "changed":
                pass
            case "deleted":
                with self._lock:
                    self._first, self._changed, self._over = [], [], False
            case _:
                return
        self._tell()

    def _look_again(self) -> list[dict[str, Any]]:
        """Recognise the first utterances anew, by what is known now; list what has changed."""
        try:
            now = self._device.recognised_now([each.identifier for each in self._first])
        except ChorusError:  # the device has said it where it heard: an overflow, a damaged store
            return self._changed
        return [
            {
                "identifier": each.identifier,
                "heard_at": each.heard_at.isoformat(timespec="milliseconds"),
                "before": each.predicted,
                "now": now[each.identifier],
            }
            for each in self._first
            if now.get(each.identifier) not in (None, each.predicted)
        ]

    def _tell(self) -> bool:
        """Report how far it is; say whether there is anything to ask for."""
        asks = not self._over and self._device.recognising.gets_to_know
        facts = None
        if asks:
            counts = self._device.counts()
            facts = {
                "heard": len(self._first),
                "wanted": WANTED,
                "changed": self._changed,
                "unknown": [name for name in self._device.task.names if not counts[name]],
            }
        self._device.report("first_minute", facts)
        return asks
