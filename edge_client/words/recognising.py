"""Recognises the words of what a device hears, beside the listening."""

import logging
import queue
import threading
from typing import TYPE_CHECKING, Protocol

from edge_client.device.fused import Fused
from edge_client.words.settings import MQTT, WYOMING, WordsSettings
from shared.errors import ChorusError
from shared.mqtt.addresses import split_address
from shared.mqtt.broker_settings import BrokerSettings

if TYPE_CHECKING:
    from edge_client.device.device import Device, DeviceEvent
    from shared.audio import Samples

_log = logging.getLogger(__name__)


class Recogniser(Protocol):
    """Recognises the words of an utterance."""

    def words(self, samples: "Samples") -> str:
        """Recognise an utterance (float32, 16 kHz); empty if nothing is understood."""
        ...


class Words:
    """Gives a device the words of what it hears, for as long as the context lasts.

    A recording waits for them, so that its results are always the same; a microphone does not.

    Parameters
    ----------
    device
        Which hears.
    recogniser
        What recognises; ``None`` if words come by :meth:`take`.
    fused
        By which words count in what is recognised, if they do.
    """

    def __init__(
        self, device: "Device", recogniser: Recogniser | None, fused: Fused | None = None
    ) -> None:
        self._device = device
        self._recogniser = recogniser
        self._fused = fused
        # Numbers alone wait: the device keeps the sound of the last utterances, and no more.
        self._waiting: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._last: tuple[int, int] | None = None
        self._unsubscribe = device.subscribe(self._note)
        self._thread = threading.Thread(target=self._run, name="words", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, when it has done with the utterance it is at."""
        self._unsubscribe()
        self._waiting.put(None)
        self._thread.join()

    def take(self, identifier: int | None, words: str) -> None:
        """Take the words of an utterance, or of the last one, from somebody else.

        Raises
        ------
        ChorusError
            If the device does not know such an utterance, or not any more.
        """
        last = self._last
        number = last[0] if identifier is None and last else identifier
        generation = self._device.recognising.generation
        if number is None or not self._device.take_words(number, words, generation, self._fused):
            which = "before anything was heard" if number is None else f"of utterance {number}"
            raise ChorusError(f"Words came {which}, which this device does not remember.")

    def _note(self, event: "DeviceEvent") -> None:
        heard = event.recognition
        if event.kind == "deleted":
            self._last = None
        elif event.kind == "heard" and heard and heard.identifier > 0:
            self._last = heard.identifier, self._device.recognising.generation
            if heard.source == "wav":
                self._recognise(*self._last)
            else:
                self._waiting.put(self._last)

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            self._recognise(*waiting)

    def _recognise(self, identifier: int, generation: int) -> None:
        """Recognise an utterance, unless it was discarded or deleted meanwhile."""
        samples = self._device.sound(identifier)
        if self._recogniser is None or samples is None:
            return
        try:
            if words := self._recogniser.words(samples):
                self._device.take_words(identifier, words, generation, self._fused)
            self._device.say("words", None)
        except ChorusError as error:
            self._device.say("words", error.message)
        except Exception:  # noqa: BLE001 - the listening goes on without words
            # Not what was said: a traceback names the code alone.
            _log.exception("Words could not be recognised.")


def recogniser_of(words: str) -> Recogniser | None:
    """Give what recognises words; ``None`` if they come from a topic.

    Raises
    ------
    SettingsError
        If there is no such model.
    MissingPartError
        If what it needs is not installed.
    """
    if words.startswith(MQTT):
        return None
    if words.startswith(WYOMING):
        from edge_client.words.wyoming import WyomingRecogniser

        return WyomingRecogniser(*split_address(words.removeprefix(WYOMING), 10300))
    from edge_client.words.whisper import Whisper

    return Whisper(words)


def fused_of(settings: WordsSettings, device: "Device") -> Fused | None:
    """Give what lets words count on a device, if they should.

    Raises
    ------
    ChorusError
        If the model or the encoder of sentences cannot be used, or is for something else.
    """
    if settings.fusion is None:
        return None
    normalisation = device.recognising.normalisation
    return Fused.read(settings.fusion, settings.sentences, device.task, normalisation)


def topic_of(words: str) -> tuple[BrokerSettings, str]:
    """Split ``mqtt://HOST/TOPIC`` into the broker and the topic."""
    place, _, topic = words.removeprefix(MQTT).partition("/")
    return BrokerSettings.parse({"host": place or "127.0.0.1"}), topic
