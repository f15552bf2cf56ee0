"""The device: hears utterances, recognises them, and keeps what the person says of them.

>>> device = Device(DeviceSettings())                 # doctest: +SKIP
>>> recognition = device.hear(utterance)              # doctest: +SKIP
>>> device.correct(recognition.identifier, "happy")   # doctest: +SKIP
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from edge_client.device import opening, training_set
from edge_client.device.events import Audience, DeviceEvent
from edge_client.device.fused import Fused
from edge_client.device.keeping import Keeping
from edge_client.device.lately import MOST_ANSWERS, Week, by_week
from edge_client.device.latest import SOUNDS, Latest
from edge_client.device.recognising import Recognising
from edge_client.device.remembered import Remembered
from edge_client.device.reports import Reports
from edge_client.device.settings import DeviceSettings
from edge_client.device.spoken_words import SpokenWords
from edge_client.device.state import DeviceFolder, each
from edge_client.device.stored_utterance import Origin, StoredUtterance
from edge_client.hearing.segmentation import SILENCE
from edge_client.hearing.utterance import Utterance
from shared.architectures import Architecture
from shared.audio import Samples
from shared.errors import AudioError, StorageError, WeightsError
from shared.frames import Frames
from shared.front_ends import front_end_of
from shared.training import Examples

__all__ = ["Device", "DeviceEvent"]  # whoever looks on needs both


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
    recognising
        What it recognises with.
    task
        What it recognises, from which features.

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
        self.task = settings.task
        self._settings = settings
        self._clock = clock
        self._lock = threading.RLock()
        self._deletion = threading.Lock()
        self._closed = False
        self._resumed = threading.Event()
        self._resumed.set()
        self._audience = Audience()
        self._latest = Latest()
        self._reports = Reports()
        self._state = DeviceFolder(settings.folder)
        with ExitStack() as stack:
            stack.enter_context(self._state.taken())
            self.recognising = Recognising(self._state, settings, self._audience)
            self._store, damage = opening.open_store(self._state, settings, clock())
            stack.enter_context(self._store)
            self._reports.note("damage", damage)
            self._reports.note("store of another task", opening.not_learned_from(self._store))
            self._reports.note("model of another task", self.recognising.left_aside)
            known, spoilt = opening.read_statistics(self._store, self.recognising.begun)
            self.recognising.begin(known)
            self._reports.note("damaged statistics", spoilt)
            self._keeping = Keeping(self._store, self._latest, self._reports, settings)
            self._remembered = Remembered(self._store, self.recognising)
            self._look_back()
            self._words = SpokenWords(
                self._latest, self._store, self.recognising, settings.unsure_below, self._lock
            )
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

    def hear(self, utterance: Utterance, source: Origin = "mic") -> StoredUtterance | None:
        """Recognise an utterance and keep it.

        Where it cannot be kept (a full disk) it is recognised all the same, its identifier is
        negative, and ``status()["problem"]`` says why.

        Returns
        -------
        StoredUtterance or None
            ``None`` while the device is paused, and for a sound too short for a frame.
        """
        if self.paused:
            return None
        try:
            frames = front_end_of(self.task.front_end).compute(utterance.samples)
        except AudioError:
            return None
        with self._lock:
            found = self._recognise(frames)
            heard = StoredUtterance(
                identifier=0,
                heard_at=self._clock(),
                seconds=utterance.seconds,
                probabilities=found,
                names=self.task.names,
                front_end=str(self.task.front_end),
                source=source,
                speaker=self._settings.speaker,
                unsure=found is not None and max(found) < self._settings.unsure_below,
            )
            known = self.recognising.statistics()
            heard = self._keeping.keep(heard, frames, utterance.samples, known)
        self._audience.tell(DeviceEvent("heard", heard))
        self._look_back()
        return heard

    def recognised_now(self, identifiers: Iterable[int]) -> dict[int, str]:
        """Label utterances that are kept by what is known now; raise as `Recognising.recognise`."""
        found = {}
        for kept, frames in self._store.read(identifiers):
            if shares := self.recognising.recognise(frames, known=True):
                found[kept.identifier] = self.task.names[shares.index(max(shares))]
        return found

    def correct(self, identifier: int, label: str) -> StoredUtterance:
        """Note which of the task's labels the person says it has: what was recognised, or not."""
        return self._changed(self._store.label(identifier, label))

    def discard(self, identifier: int) -> StoredUtterance:
        """Throw an utterance away; its sound is gone at once, the rest when the device closes."""
        discarded = self._store.discard(identifier)
        with self._lock:
            self._latest.forget(identifier)
        return self._changed(discarded)

    def undo(self) -> StoredUtterance | None:
        """Take back what the person said last; ``None`` if there is nothing to take back."""
        restored = self._store.undo()
        return restored and self._changed(restored)

    def recent(self, limit: int = SOUNDS) -> list[StoredUtterance]:
        """List the last utterances, the newest first, without those that were discarded."""
        kept = self._store.recent(limit)
        with self._lock:
            return self._latest.among(kept, limit)

    def counts(self) -> dict[str, int]:
        """Count the utterances of each label, ``unlabelled`` and ``discarded``."""
        return self._store.counts()

    def lately(self) -> list[Week]:
        """Count by week how many answers said that the device was right."""
        return by_week(self._store.answered(MOST_ANSWERS))

    def sound(self, identifier: int) -> Samples | None:
        """Give an utterance's sound (16 kHz) while it is in memory, that is, for the last 20."""
        with self._lock:
            return self._latest.sound(identifier)

    def words(self, identifier: int) -> str | None:
        """Give what was said in an utterance, if that was recognised, while its sound is here."""
        return self._words.of(identifier)

    def take_words(
        self, identifier: int, words: str, generation: int, fused: Fused | None = None
    ) -> bool:
        """Take in what was said in an utterance; it is kept in memory alone.

        Parameters
        ----------
        identifier
            Of the utterance.
        words
            What was said.
        generation
            :attr:`Recognising.generation` when it was heard.
        fused
            By which words count in what is recognised, if they do.

        Returns
        -------
        bool
            Whether the device still has the utterance's sound; else nothing has changed.
        """
        heard = self._words.take(identifier, words, generation, fused)
        if heard:
            self._audience.tell(DeviceEvent("words", heard))
        return heard is not None

    @property
    def paused(self) -> bool:
        """Whether the person has told the device not to listen."""
        return not self._resumed.is_set()

    def pause(self) -> None:
        """Stop listening: the microphone is closed until :meth:`resume`."""
        self._resumed.clear()
        self._audience.tell(DeviceEvent("status"))

    def resume(self) -> None:
        """Listen again."""
        self._resumed.set()
        self._audience.tell(DeviceEvent("status"))

    def wait_while_paused(self, timeout: float) -> bool:
        """Wait until the device listens, so many seconds at most; say whether it does."""
        return self._resumed.wait(timeout)

    def delete_everything(self) -> None:
        """Delete all that this device has heard, been told, and made of it.

        The global model stays: it came from outside. If a part cannot be deleted, the others are
        all the same, and the first error is raised.
        """
        with self._deletion:  # one after the other: whoever looks on stops and begins anew
            self._audience.tell(DeviceEvent("deleting"))
            try:
                with self._lock:
                    self._forget()
            finally:
                self._audience.tell(DeviceEvent("deleted"))
                self._audience.tell(DeviceEvent("status"))

    def _forget(self) -> None:
        self._latest.clear()
        for about in ("damage", "damaged statistics", "store", "store of another task"):
            self._reports.note(about, None)
        state = self._state
        with state.deleting():
            each(
                self._store.delete_all,
                # Not before: as long as the store has them, another thread may go by the examples.
                self._remembered.forget,
                self.recognising.forget,
                state.delete_the_rest,
            )

    def look(self) -> None:
        """Notice what another process has changed in the store, such as an import."""
        with suppress(StorageError):  # whoever needs the store will say so
            if self._store.changed_elsewhere():
                self._look_back()
                self._audience.tell(DeviceEvent("changed"))

    @property
    def problem(self) -> str | None:
        """What the person should know now, a line for each; ``None`` if all is well."""
        with self._lock:
            said = [self.recognising.remark, *self._reports.remarks]
            return "\n".join(filter(None, said)) or None

    def say(self, about: str, sentence: str | None) -> None:
        """Let a part of the program say what the person should know, until it says ``None``.

        It is the ``problem`` of :meth:`status`, and a line of the log.
        """
        self._reports.note(about, sentence)
        self._audience.tell(DeviceEvent("status"))

    def status(self) -> dict[str, Any]:
        """Say how the device is, in values that JSON can hold.

        Returns
        -------
        dict
            ``state`` (``idle``, ``listening``, ``speaking``, ``waiting`` for the microphone, or
            ``paused``), ``level``, ``counts``, ``model``, ``card`` and ``training`` (see
            :meth:`Recognising.status`), ``problem`` (lines of sentences, or ``None``), and what was
            given to :meth:`report`: ``source``, ``round`` and ``first_minute``.
        """
        with self._lock:
            return {
                "state": self._reports.listening(paused=self.paused, speaking=self.speaking),
                "level": self.level,
                "counts": self.counts(),
                "problem": self.problem,
                **self.recognising.status(),
                **self._reports.parts,
            }

    def report(self, part: str, facts: dict[str, Any] | None) -> None:
        """Let a part of the program say how it is: ``status()[part]`` gives it.

        A ``remark`` among the facts is something the person should know.
        """
        self._reports.report(part, facts)
        self._audience.tell(DeviceEvent("status"))

    def subscribe(self, callback: Callable[[DeviceEvent], None]) -> Callable[[], None]:
        """Have a function called at each event, in the thread that caused it.

        Returns
        -------
        callable
            Ends it.
        """
        return self._audience.add(callback)

    def example_keys(self) -> list[int]:
        """List the keys of what :meth:`examples` would give; those of guesses are negative."""
        return training_set.keys(self._store, guesses=self._settings.keep_unlabelled)

    def examples(self) -> Examples:
        """Give what may be trained on, normalised as for the global model.

        That is what the person has labelled, and with ``keep_unlabelled`` also what the model is
        at least 90 % sure of, by its own answer; see :func:`training_set.gather`.
        """
        statistics = self.recognising.normalising()
        guesses = self._settings.keep_unlabelled
        return training_set.gather(self._store, statistics, guesses=guesses)

    def labelled(self, most: int) -> training_set.Labelled:
        """Give the newest that the person has labelled, for a personal model."""
        statistics = self.recognising.normalising()
        return training_set.labelled(self._store, statistics, most, self._remembered.kept())

    def use_model(
        self, file: Path, digest: str, architecture: Architecture, begun: Path | None = None
    ) -> None:
        """Take a new global model from a file; see :meth:`Recognising.use_model`."""
        if self.recognising.use_model(file, digest, architecture, begun):
            with self._lock:  # nothing is heard meanwhile that they would miss
                opening.begin_again(self._store, self.recognising)
        self._look_back()
        self._reports.note("model", None)
        self._reports.note("model of another task", None)
        self._audience.tell(DeviceEvent("model"))
        self._audience.tell(DeviceEvent("status"))

    def _recognise(self, frames: Frames) -> tuple[float, ...] | None:
        """Recognise, if there is a model that can be used; else say why it cannot."""
        try:
            found = self.recognising.recognise(frames)
        except WeightsError as error:
            self._reports.note("overflow", error.message)
            return None
        self._reports.note("overflow", None)
        return found

    def _look_back(self) -> None:
        self.recognising.look_back(self._remembered.kept)

    def _changed(self, recognition: StoredUtterance) -> StoredUtterance:
        self._look_back()
        self._audience.tell(DeviceEvent("changed", recognition))
        return recognition
