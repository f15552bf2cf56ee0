"""What a device tells whoever looks on."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge_client.device.stored_utterance import StoredUtterance

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """What a subscriber is told.

    Attributes
    ----------
    kind
        ``heard``: a new utterance; ``changed``: one was labelled or discarded, that was undone, or
        another process has changed the store; ``words``: what was said is known, by which an
        utterance may be recognised anew; ``model``: another global model is used from now on, or
        the same one anew, and what was heard is normalised as that asks; ``status``:
        :meth:`Device.status` has changed;
        ``deleting``: everything is about to be deleted, and whoever keeps something open in the
        personal folder, or has heard what is not kept yet, lets go of it before returning;
        ``deleted``: that is over, and whoever stopped may begin anew.
    recognition
        The utterance it is about.
    """

    kind: Literal["heard", "changed", "words", "model", "status", "deleting", "deleted"]
    recognition: StoredUtterance | None = None


class Audience:
    """Whoever looks on; all methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[DeviceEvent], None]] = {}

    def add(self, callback: Callable[[DeviceEvent], None]) -> Callable[[], None]:
        """Have a function called at each event; what is given back ends it."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback

        def remove() -> None:
            with self._lock:
                self._callbacks.pop(key, None)

        return remove

    def tell(self, event: DeviceEvent) -> None:
        """Call them one after the other, in this thread."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - whoever looks on must not stop the listening
                _log.exception("a subscriber failed")
