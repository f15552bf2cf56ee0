"""Listening: from a source's blocks to the device, in a thread of its own."""

import threading
from collections.abc import Callable
from typing import Any

from edge_client.device.device import Device, Event
from edge_client.device.recognition import Source as Kind
from edge_client.hearing import source as hearing
from edge_client.hearing.segmentation import SILENCE, Segmenter
from edge_client.hearing.source import Source
from shared.errors import ChorusError

_LOOK = 0.2
"""Seconds between looks whether to stop, while the device is paused."""

_RETRY = 2.0
"""Seconds before a microphone that could not be opened is tried again."""


class Listener:
    """Hears what a source gives, until it ends or :meth:`close`.

    While the device is paused a microphone is closed, not merely ignored, and an utterance that
    had begun is forgotten; a recording waits.

    Parameters
    ----------
    device
        What recognises.
    open_source
        Opens the source, which reports what happens to it to its argument.
    make_segmenter
        Makes what finds utterances; anew each time the source is opened.
    kind
        ``mic`` or ``wav``.
    """

    def __init__(
        self,
        device: Device,
        open_source: Callable[[hearing.OnEvent], Source],
        make_segmenter: Callable[[], Segmenter],
        kind: Kind,
    ) -> None:
        self._device = device
        self._open_source = open_source
        self._make_segmenter = make_segmenter
        self._kind = kind
        self._stop = threading.Event()
        self._heard = False
        self._segmenter: Segmenter | None = None
        self._source: Source | None = None
        self._facts: dict[str, Any] = {"kind": kind, "detail": "", "lost": False, "overruns": 0}
        self._error: BaseException | None = None
        self._unsubscribe = device.subscribe(self._on_device)
        self._thread = threading.Thread(target=self._run, name="listening")
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the source's end, so many seconds at most; say whether it has come.

        Raises
        ------
        ChorusError
            What ended the listening, if it was not the source's end.
        """
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()
        self._stop.set()
        if self._source is not None:
            self._source.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._device.wait_while_paused(_LOOK) and self._listen_again():
                    break
        except BaseException as error:  # noqa: BLE001 - wait() raises it where it is seen
            self._error = error
        finally:
            self._device.level, self._device.speaking = SILENCE, False
            self._device.report("source", None)

    def _listen_again(self) -> bool:
        """Listen; after a pause, a microphone that has gone meanwhile is waited for."""
        try:
            return self._listen()
        except ChorusError as error:
            if not self._heard or self._kind == "wav":
                raise
            self._on_source(hearing.Event("lost", f"{error.problem} {error.mend}".strip()))
            self._stop.wait(_RETRY)
            return False

    def _listen(self) -> bool:
        """Listen until the source's end (then true), or until the person does not want it."""
        source = self._source = self._open_source(self._on_source)
        segmenter = self._segmenter = self._make_segmenter()
        try:
            for block in source.blocks():
                self._heard = True
                utterances = segmenter.feed(block)
                self._device.level = segmenter.level
                self._device.speaking = segmenter.speaking
                for utterance in utterances:
                    self._device.hear(utterance, self._kind)
                if self._interrupted():
                    return False
            if self._stop.is_set() or (self._device.paused and self._kind == "mic"):
                return False
            self._flush()
        finally:
            source.close()
            self._source = self._segmenter = None
            self._device.level, self._device.speaking = SILENCE, False
        return True

    def _interrupted(self) -> bool:
        if self._kind == "wav":
            while not self._stop.is_set() and not self._device.wait_while_paused(_LOOK):
                pass
        return self._stop.is_set() or self._device.paused

    def _on_device(self, event: Event) -> None:
        """Close a microphone that may be waiting for sound, or to be plugged in again."""
        source = self._source
        if event.kind == "status" and self._device.paused and self._kind == "mic" and source:
            source.close()

    def _flush(self) -> None:
        """End an utterance that goes on when the sound stops."""
        for utterance in self._segmenter.flush() if self._segmenter else ():
            self._device.hear(utterance, self._kind)

    def _on_source(self, event: hearing.Event) -> None:
        if event.kind == "lost":
            self._flush()
        self._facts = {
            "kind": self._kind,
            "detail": event.detail,
            "lost": event.kind == "lost" or (self._facts["lost"] and event.kind == "overrun"),
            "overruns": self._facts["overruns"] + (event.kind == "overrun"),
        }
        self._device.report("source", self._facts)
