"""What was said in the last utterances, and what that changes in what was recognised there."""

import threading

from edge_client.device.fused import Fused
from edge_client.device.latest import Latest
from edge_client.device.recognising import Recognising
from edge_client.device.store import ExampleStore
from edge_client.device.stored_utterance import StoredUtterance


class SpokenWords:
    """The words of a device's utterances; they are in memory alone.

    Its methods may be called from any thread.

    Parameters
    ----------
    latest
        Where they lie, beside the sound.
    store
        Where the utterances are.
    recognising
        What recognised them without words.
    unsure_below
        Probability below which an answer is unsure.
    lock
        Held while anything is changed; recognising with words does not hold it.
    """

    def __init__(
        self,
        latest: Latest,
        store: ExampleStore,
        recognising: Recognising,
        unsure_below: float,
        lock: threading.RLock,
    ) -> None:
        self._latest = latest
        self._store = store
        self._recognising = recognising
        self._unsure_below = unsure_below
        self._lock = lock

    def take(
        self, identifier: int, words: str, generation: int, fused: Fused | None
    ) -> StoredUtterance | None:
        """Take in what was said in an utterance; see :meth:`Device.take_words`.

        Returns
        -------
        StoredUtterance or None
            The utterance as it is recognised now; ``None`` if its sound is no longer here.
        """
        with self._lock:
            if not self._remembered(identifier, generation):
                return None
            alone = self._latest.without_words(identifier)
            alone = alone or self._store.get(identifier).probabilities
        # A sentence's vector takes its time, and hearing does not wait for it.
        found = self._recognised(identifier, words, alone, fused) if fused and alone else None
        with self._lock:
            if not self._remembered(identifier, generation):
                return None
            self._latest.say(identifier, words, alone)
            if found is None:
                return self._store.get(identifier)
            unsure = max(found) < self._unsure_below
            return self._store.recognise(identifier, found, unsure=unsure)

    def of(self, identifier: int) -> str | None:
        """Give what was said in an utterance while that is here."""
        with self._lock:
            return self._latest.words(identifier)

    def _remembered(self, identifier: int, generation: int) -> bool:
        """Say whether an utterance's sound is here, and nothing was deleted since it was heard."""
        known = self._latest.sound(identifier) is not None
        return known and generation == self._recognising.generation

    def _recognised(
        self, identifier: int, words: str, alone: tuple[float, ...], fused: Fused
    ) -> tuple[float, ...] | None:
        """Recognise an utterance with its words, unless the store has just lost it."""
        read = next(iter(self._store.read([identifier])), None)
        if read is None:
            return None
        _, frames = read
        statistics = self._recognising.normalising()
        features = statistics.normalise(frames, len(frames)) if statistics else frames
        return fused.recognise(alone, features[0], words)
