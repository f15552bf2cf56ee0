"""Listening: from a source's blocks to the device, in a thread of its own."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.stored_utterance import Origin
from edge_client.hearing.segmentation import SILENCE, Segmenter
from edge_client.hearing.source import OnEvent, SoundSource, SourceEvent
from edge_client.hearing.utterance import Utterance
from shared.audio import Samples

_log = logging.getLogger(__name__)

NOTHING: Final = (
    "No utterance was found in the recording: it is silent, noise all through, or shorter than "
    "half a second."
)
"""What is said of a recording without speech."""

_LOOK = 0.2
"""Seconds between looks whether to stop, while the device is paused."""


class Listener:
    """Hears what a source gives, until it ends or :meth:`close`.

    While the device is paused a microphone is closed, not merely ignored, and an utterance that
    had begun is forgotten; a recording waits. What was being said when everything is deleted is
    forgotten too.

    Parameters
    ----------
    device
        What recognises.
    open_source
        Opens the source, which reports what happens to it to the first argument; the second is
        what was open before a pause.
    make_segmenter
        Makes what finds utterances; anew each time the source is opened.
    kind
        ``mic`` or ``wav``.
    """

    def __init__(
        self,
        device: Device,
        open_source: Callable[[OnEvent, SoundSource | None], SoundSource],
        make_segmenter: Callable[[], Segmenter],
        kind: Origin,
    ) -> None:
        self._device = device
        self._open_source = open_source
        self._make_segmenter = make_segmenter
        self._kind = kind
        self._stop = threading.Event()
        self._heard = self._spoken = False
        # Held while a block is heard and its utterances are kept: a deletion waits for that.
        self._hearing = threading.RLock()
        self._deaf = False
        self._segmenter: Segmenter | None = None
        self._source: SoundSource | None = None
        self._before: SoundSource | None = None
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
        source = self._source  # the listening may end meanwhile
        if source is not None:
            source.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._device.wait_while_paused(_LOOK) and self._listen():
                    break
        except BaseException as error:  # noqa: BLE001 - wait() raises it where it is seen
            self._error = error
        finally:
            self._device.level, self._device.speaking = SILENCE, False
            self._device.report("source", None)
            self._device.say("source", None)

    def _listen(self) -> bool:
        """Listen until the source's end (then true), or until the person does not want it."""
        source = self._source = self._open_source(self._on_source, self._before)
        self._before = source
        if self._stop.is_set() or self._off:
            source.close()  # who wanted that may not have seen it yet
        self._segmenter = self._make_segmenter()
        try:
            for block in source.blocks():
                self._heard = True
                self._take(block)
                if self._interrupted():
                    return False
            if self._stop.is_set() or self._kind == "mic":  # which ends when it is closed
                return False
            self._flush()
        finally:
            source.close()
            self._source = self._segmenter = None
            self._device.level, self._device.speaking = SILENCE, False
        if self._kind == "wav" and not self._spoken:
            self._device.say("recording", NOTHING)
        return True

    def _take(self, block: Samples) -> None:
        with self._hearing:
            if self._segmenter and not self._deaf:
                utterances = self._segmenter.feed(block)
                self._device.level = self._segmenter.level
                self._device.speaking = self._segmenter.speaking
                self._hand_on(utterances)

    def _flush(self) -> None:
        """End an utterance that goes on when the sound stops."""
        with self._hearing:
            if self._segmenter and not self._deaf:
                self._hand_on(self._segmenter.flush())

    def _hand_on(self, utterances: list[Utterance]) -> None:
        for utterance in utterances:
            self._spoken = True
            self._device.hear(utterance, self._kind)

    def _interrupted(self) -> bool:
        if self._kind == "wav":
            while not self._stop.is_set() and not self._device.wait_while_paused(_LOOK):
                pass
        return self._stop.is_set() or self._device.paused

    @property
    def _off(self) -> bool:
        """Whether there is a microphone that should be closed."""
        return self._kind == "mic" and self._device.paused

    def _on_device(self, event: DeviceEvent) -> None:
        source = self._source
        if event.kind == "status" and self._off and source:
            source.close()  # it may be waiting for sound, or to be plugged in again
        elif event.kind == "deleting":
            with self._hearing:
                self._deaf, self._device.speaking = True, False
                self._segmenter = self._segmenter and self._make_segmenter()
        elif event.kind == "deleted":
            self._deaf = False

    def _on_source(self, event: SourceEvent) -> None:
        """Note what happens to the source, and say what its person should know."""
        lost, count = self._facts["lost"], self._facts["overruns"]
        if event.kind == "lost":
            self._flush()
        elif event.kind == "connected" and (lost or not self._heard):
            _log.info("%s", event.detail)
        elif event.kind == "overrun":
            count += 1
            if count & (count - 1) == 0:  # ever less often: a busy machine has enough to do
                _log.info("%s", event.detail)
        self._facts = {
            "kind": self._kind,
            "detail": self._facts["detail"] if event.kind == "overrun" else event.detail,
            "lost": event.kind == "lost" or (lost and event.kind == "overrun"),
            "overruns": count,
        }
        self._device.report("source", self._facts)
        if event.kind != "overrun":
            self._device.say("source", event.detail if event.kind == "lost" else None)
