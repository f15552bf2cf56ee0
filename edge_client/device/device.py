"""The device: hears utterances, recognises them, and keeps what the person says of them.

>>> device = Device(DeviceSettings())                 # doctest: +SKIP
>>> recognition = device.hear(utterance)              # doctest: +SKIP
>>> device.correct(recognition.identifier, "happy")   # doctest: +SKIP
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from edge_client.device import opening
from edge_client.device.model import Model
from edge_client.device.recognition import Recognition, Source
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import StateFolder
from edge_client.device.stored import guesses
from edge_client.hearing.segmentation import SILENCE
from edge_client.hearing.utterance import Utterance
from edge_client.personalisation import PersonalModel
from shared.architectures import ARCHITECTURES, FRAMES, Architecture
from shared.audio import Samples
from shared.emotions import EMOTIONS, Emotion
from shared.errors import AudioError, ChorusError, StorageError
from shared.features import Frames, frame_features, pad
from shared.normalisation import RunningStatistics
from shared.training import Examples
from shared.weights import Weights

_log = logging.getLogger(__name__)

SOUNDS: Final = 20
"""Utterances whose sound stays in memory, to be played again: at most 13 MB."""

SURE: Final = 0.9
"""Probability from which on an unlabelled utterance may be trained on, where that is asked for."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a subscriber is told.

    Attributes
    ----------
    kind
        ``heard``: a new utterance; ``changed``: one was labelled or discarded, or that was undone;
        ``status``: :meth:`Device.status` has changed; ``deleted``: everything is being deleted,
        and whoever keeps something open in the personal folder must close it now.
    recognition
        The utterance it is about.
    """

    kind: Literal["heard", "changed", "status", "deleted"]
    recognition: Recognition | None = None


class Device:
    """What runs on one person's device, but for its microphone, its screens and its federation.

    All methods may be called from any thread. Numbers of utterances that are not there raise a
    :class:`ChorusError`; a disk that is full raises :class:`StorageError`, and nothing changes.

    Parameters
    ----------
    settings
        What to recognise with, and what to keep where.
    clock
        Gives the time of day; for tests.

    Attributes
    ----------
    level
        Of what is heard now, in dBFS, for a meter; -100 for nothing.
    speaking
        Whether that is speech.

    Raises
    ------
    RunError
        If another process runs with the same state folder.
    StorageError
        If the folder cannot be written.
    WeightsError
        If the model cannot be used.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.level = SILENCE
        self.speaking = False
        self._settings = settings
        self._clock = clock
        self._lock = threading.RLock()
        self._closed = False
        self._problem: str | None = None
        self._resumed = threading.Event()
        self._resumed.set()
        self._subscribers: dict[object, Callable[[Event], None]] = {}
        self._sounds: OrderedDict[int, Samples] = OrderedDict()
        self._parts: dict[str, dict[str, Any] | None] = {
            "source": None,
            "round": None,
            "training": None,
        }
        self._state = StateFolder(settings.folder)
        with ExitStack() as stack:
            stack.enter_context(self._state.taken())
            self._model = Model.found(self._state.model, settings.weights)
            self._store, self._damage = opening.open_store(self._state, settings, clock())
            stack.enter_context(self._store)
            self._statistics = opening.read_statistics(self._store)
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; what was discarded can no longer be undone, and is deleted."""
        with self._lock:
            if not self._closed:
                self._closed = True
                # If the disk is full, the next start deletes what was discarded.
                with self._closing, suppress(StorageError):
                    self._store.purge()

    def hear(self, utterance: Utterance, source: Source = "mic") -> Recognition | None:
        """Recognise an utterance and keep it.

        Where it cannot be kept (a full disk) it is recognised all the same, its identifier is 0,
        and ``status()["problem"]`` says why.

        Returns
        -------
        Recognition or None
            ``None`` while the device is paused, and for a sound too short for a frame.
        """
        if self.paused:
            return None
        try:
            frames = frame_features(utterance.samples)
        except AudioError:
            return None
        with self._lock:
            self._statistics.update(frames)
            heard = Recognition(
                identifier=0,
                heard_at=self._clock(),
                seconds=utterance.seconds,
                probabilities=self._recognise(frames),
                source=source,
                speaker=self._settings.speaker,
            )
            heard = replace(heard, identifier=self._keep(heard, frames, utterance.samples))
        self._tell(Event("heard", heard))
        return heard

    def confirm(self, identifier: int) -> Recognition:
        """Note that the person says the model was right."""
        emotion = self._store.get(identifier).emotion
        if emotion is None:
            raise ChorusError(
                f"Utterance {identifier} was heard before there was a model.",
                "Say which emotion it is.",
            )
        return self.correct(identifier, emotion)

    def correct(self, identifier: int, emotion: Emotion) -> Recognition:
        """Note which emotion the person says it is."""
        return self._changed(self._store.label(identifier, emotion))

    def discard(self, identifier: int) -> Recognition:
        """Throw an utterance away; its sound is gone at once, the rest when the device closes."""
        discarded = self._store.discard(identifier)
        with self._lock:
            self._sounds.pop(identifier, None)
        return self._changed(discarded)

    def undo(self) -> Recognition | None:
        """Take back what the person said last; ``None`` if there is nothing to take back."""
        restored = self._store.undo()
        return restored and self._changed(restored)

    def recent(self, limit: int = SOUNDS) -> list[Recognition]:
        """List the last utterances, the newest first, without those that were discarded."""
        return self._store.recent(limit)

    def counts(self) -> dict[str, int]:
        """Count the utterances of each emotion, ``unlabelled`` and ``discarded``."""
        return self._store.counts()

    def sound(self, identifier: int) -> Samples | None:
        """Give an utterance's sound (16 kHz) while it is in memory, that is, for the last 20."""
        with self._lock:
            return self._sounds.get(identifier)

    @property
    def paused(self) -> bool:
        """Whether the person has told the device not to listen."""
        return not self._resumed.is_set()

    def pause(self) -> None:
        """Stop listening: the microphone is closed until :meth:`resume`."""
        self._resumed.clear()
        self._tell(Event("status"))

    def resume(self) -> None:
        """Listen again."""
        self._resumed.set()
        self._tell(Event("status"))

    def wait_while_paused(self, timeout: float) -> bool:
        """Wait until the device listens, so many seconds at most; say whether it does."""
        return self._resumed.wait(timeout)

    def delete_everything(self) -> None:
        """Delete all that this device has heard, been told, and made of it.

        The global model stays: it came from outside.
        """
        self._tell(Event("deleted"))
        with self._lock:
            self._sounds.clear()
            if self._model:
                self._model.personal = None
            self._statistics = RunningStatistics()
            self._state.delete_personal()
            self._store.delete_all()
        self._tell(Event("status"))

    @property
    def problem(self) -> str | None:
        """What keeps utterances from being kept, or what was lost, in a sentence or two."""
        return self._problem or self._damage

    def status(self) -> dict[str, Any]:
        """Say how the device is, in values that JSON can hold.

        Returns
        -------
        dict
            ``state`` (``idle``, ``listening``, ``speaking``, ``waiting`` for the microphone, or
            ``paused``), ``model`` (``architecture``, ``digest`` and ``personal``, or ``None``),
            ``level``, ``counts``, ``problem`` (a sentence, or ``None``), and whatever was given to
            :meth:`report`: ``source``, ``round``, ``training``.
        """
        with self._lock:
            return {
                "state": self._listening_state(),
                "model": self._model and self._model.facts(),
                "level": self.level,
                "counts": self.counts(),
                "problem": self.problem,
                **self._parts,
            }

    def report(self, part: str, facts: dict[str, Any] | None) -> None:
        """Let a part of the program say how it is: ``status()[part]`` gives it."""
        with self._lock:
            self._parts[part] = facts
        self._tell(Event("status"))

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Have a function called at each event, in the thread that caused it.

        Returns
        -------
        callable
            Ends it.
        """
        key = object()
        with self._lock:
            self._subscribers[key] = callback

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(key, None)

        return unsubscribe

    def examples(self) -> Examples:
        """Give what may be trained on, normalised as for recognition.

        That is what the person has labelled, and with ``keep_unlabelled`` also what the model is
        at least 90 % sure of, by its own answer.
        """
        parts = [self._store.labelled()]
        if self._settings.keep_unlabelled:
            parts.append(guesses(self._store.unlabelled(), SURE))
        features = np.concatenate([part.features for part in parts])
        frames = np.concatenate([part.frames for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        with self._lock:
            statistics = copy(self._statistics)  # so that hearing need not wait
        if self._settings.normalisation == "device":
            features = statistics.normalise(features, frames)
        return Examples(features, frames, labels)

    def use_weights(
        self, weights: Weights, digest: str, architecture: Architecture | None = None
    ) -> None:
        """Take a new global model: keep it, and recognise with it from now on.

        Parameters
        ----------
        weights
            Shape ``(parameters,)``.
        digest
            As :func:`shared.weights.digest` gives it.
        architecture
            That of the model in use, or ``conv``, if not given.

        Raises
        ------
        WeightsError
            If they do not belong to the architecture, are not finite, or have another digest.
        """
        if architecture is None:
            architecture = self._model.architecture if self._model else ARCHITECTURES["conv"]
        model = Model.keep(self._state.model, weights, digest, architecture)
        with self._lock:
            self._model = model
        self._tell(Event("status"))

    def weights(self) -> tuple[Weights, Architecture] | None:
        """Read the global model; ``None`` if there is none yet."""
        with self._lock:
            if self._model is None:
                return None
            return self._model.weights(), self._model.architecture

    @property
    def model_digest(self) -> str | None:
        """Digest of the global model; ``None`` if there is none yet."""
        model = self._model
        return model.digest if model else None

    def logits(self, examples: Examples) -> tuple[NDArray[np.float32], str] | None:
        """Compute the global model's logits of examples, one by one: hearing goes in between.

        Returns
        -------
        (numpy.ndarray, str) or None
            Shape ``(n, 4)``, and the model's digest; ``None`` if there is no model, or another
            came meanwhile.
        """
        model = self._model
        if model is None:
            return None
        found = np.zeros((len(examples), len(EMOTIONS)), np.float32)
        for row, features in zip(found, examples.features, strict=True):
            with self._lock:
                row[:] = model.logits(features)
        return (found, model.digest) if self._model is model else None

    def use_personal(self, personal: PersonalModel | None, digest: str) -> bool:
        """Recognise with a personal model, until ``None`` or a new global model comes.

        Parameters
        ----------
        personal
            What was learnt from the person's examples.
        digest
            Of the global model that it corrects.

        Returns
        -------
        bool
            Whether that is still the global model; else nothing has changed.
        """
        with self._lock:
            if self._model is None or self._model.digest != digest:
                return False
            self._model.personal = personal
        self._tell(Event("status"))
        return True

    @property
    def personal_folder(self) -> Path:
        """Where everything belongs that is made of the person's examples: deleted with them."""
        return self._state.personal

    def _keep(self, heard: Recognition, frames: Frames, samples: Samples) -> int:
        """Put an utterance into the store; 0 if that cannot be."""
        number = 0
        try:
            number = self._store.add(heard, frames, statistics=self._statistics.to_dict())
            self._store.keep_sound(number, samples)
            self._problem = None
        except StorageError as error:
            self._problem = f"{error.problem} {error.mend}".strip()
        if number:
            self._sounds[number] = samples
        while len(self._sounds) > SOUNDS:
            self._sounds.popitem(last=False)
        return number

    def _listening_state(self) -> str:
        source = self._parts["source"]
        if self.paused:
            return "paused"
        if source is None:
            return "idle"
        if source.get("lost"):
            return "waiting"
        return "speaking" if self.speaking else "listening"

    def _recognise(self, frames: Frames) -> tuple[float, ...] | None:
        if self._model is None:
            return None
        features = pad(frames)
        if self._settings.normalisation == "device":
            features = self._statistics.normalise(features, len(frames))
        return self._model.probabilities(features, min(len(frames), FRAMES))

    def _changed(self, recognition: Recognition) -> Recognition:
        self._tell(Event("changed", recognition))
        return recognition

    def _tell(self, event: Event) -> None:
        with self._lock:
            callbacks = list(self._subscribers.values())
        for callback in callbacks:
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - whoever looks on must not stop the listening
                _log.exception("a subscriber failed")
