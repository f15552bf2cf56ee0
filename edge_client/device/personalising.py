"""Learns from what the person confirms and corrects, at once, beside the listening."""

import logging
import threading
from typing import TYPE_CHECKING

from edge_client.learning.personal_model import MOST, PersonalModel
from shared.errors import ChorusError

if TYPE_CHECKING:
    from edge_client.device.device import Device, DeviceEvent

_log = logging.getLogger(__name__)


class Learning:
    """Fits the personal model anew after each label and each new global model, in a thread.

    Parameters
    ----------
    device
        Whose examples, and which recognises with the result.
    """

    def __init__(self, device: "Device") -> None:
        self._device = device
        self._wake = threading.Event()
        self._wake.set()  # examples of earlier days may be there
        self._ended = False
        self._unsubscribe = device.subscribe(self._note)
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._unsubscribe()
        self._ended = True
        self._wake.set()
        self._thread.join()

    def _note(self, event: "DeviceEvent") -> None:
        if event.kind in ("changed", "deleted", "model"):
            self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._ended:
                return
            try:
                self._learn()
                self._device.say("learning", None)
            except ChorusError as error:
                self._device.say("learning", error.message)
            except Exception:  # noqa: BLE001 - the listening goes on with the global model
                _log.exception("The personal model could not be fitted.")

    def _learn(self) -> None:
        recognising = self._device.recognising
        generation = recognising.generation
        examples, told = self._device.labelled(MOST)
        found = recognising.logits(examples)
        if found is not None:
            logits, digest, temperature = found
            personal = None
            if len(examples):
                personal = PersonalModel.fit(examples, logits, temperature, told)
            recognising.use_personal(personal, digest, generation)
