"""What is in memory of the last utterances: sound, words, and those that could not be kept."""

from collections import OrderedDict, deque
from dataclasses import replace
from typing import Final

from edge_client.device.stored_utterance import StoredUtterance
from shared.audio import Samples

SOUNDS: Final = 20
"""Utterances whose sound stays in memory, to be played again: at most 13 MB."""


class Latest:
    """The last utterances; for one thread at a time."""

    def __init__(self) -> None:
        self._sounds: OrderedDict[int, Samples] = OrderedDict()
        self._words: dict[int, str] = {}
        self._without_words: dict[int, tuple[float, ...] | None] = {}
        self._unkept: deque[tuple[int, StoredUtterance]] = deque(maxlen=SOUNDS)
        self._newest = self._count = 0

    def kept(self, identifier: int, samples: Samples) -> None:
        """Take in the sound of an utterance that the store has taken."""
        self._newest = identifier
        self._sounds[identifier] = samples
        while len(self._sounds) > SOUNDS:
            self.forget(next(iter(self._sounds)))

    def unkept(self, heard: StoredUtterance) -> StoredUtterance:
        """Take in an utterance that the store could not take; give it with a number of its own."""
        self._count += 1
        heard = replace(heard, identifier=-self._count)
        self._unkept.append((self._newest, heard))
        return heard

    def among(self, kept: list[StoredUtterance], limit: int) -> list[StoredUtterance]:
        """Put those that could not be kept where they belong among the store's newest."""
        # Not by the time of day: a device without a battery may have set its clock meanwhile.
        placed = [(known.identifier, 0, known) for known in kept]
        placed += [(after, -known.identifier, known) for after, known in self._unkept]
        placed.sort(key=lambda one: one[:2], reverse=True)
        return [known for *_, known in placed][:limit]

    def sound(self, identifier: int) -> Samples | None:
        """Give an utterance's sound while it is here."""
        return self._sounds.get(identifier)

    def say(self, identifier: int, words: str, without: tuple[float, ...] | None) -> None:
        """Take in what was said, and what was recognised ``without`` it; the sound must be here."""
        self._words[identifier] = words
        self._without_words[identifier] = without

    def words(self, identifier: int) -> str | None:
        """Give what was said while it is here."""
        return self._words.get(identifier)

    def without_words(self, identifier: int) -> tuple[float, ...] | None:
        """Give what was recognised before there were words; ``None`` as long as there are none."""
        return self._without_words.get(identifier)

    def forget(self, identifier: int) -> None:
        """Let go of an utterance's sound and words."""
        self._sounds.pop(identifier, None)
        self._words.pop(identifier, None)
        self._without_words.pop(identifier, None)

    def clear(self) -> None:
        """Let go of everything."""
        self._sounds.clear()
        self._words.clear()
        self._without_words.clear()
        self._unkept.clear()
