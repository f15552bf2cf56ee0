"""What corpora call their labels, and which label of a task that is.

Corpora name the same emotion by different words, in different languages. :data:`ALIASES` gives each
emotion one name; a task's label stands for all words of its emotion, whichever of them is its name.
Labels that are no emotions (``laughing``) stand for themselves alone.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final

from shared.task import Task

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "angry": ("anger", "ang", "wut", "wütend", "ärger", "zorn"),
    "happy": ("happiness", "hap", "joy", "freude", "glücklich", "fröhlich"),
    "neutral": ("neu", "neutrality"),
    "sad": ("sadness", "trauer", "traurig"),
    "fearful": ("fear", "fea", "afraid", "anxiety", "angst", "ängstlich"),
    "disgusted": ("disgust", "dis", "ekel", "angeekelt"),
    "surprised": ("surprise", "pleasant surprise", "sur", "überraschung", "überrascht"),
    "calm": ("calmness", "ruhe", "ruhig"),
    "bored": ("boredom", "langeweile", "gelangweilt"),
    "excited": ("excitement", "exc", "aufgeregt"),
    "frustrated": ("frustration", "fru", "frustriert"),
    "contemptuous": ("contempt", "verachtung"),
}
"""The emotions that corpora label, and other words for each."""

_EMOTION: Final = {word: name for name, words in ALIASES.items() for word in (name, *words)}


def emotion_of(word: str) -> str | None:
    """Give the emotion's name in :data:`ALIASES` that a word stands for, in any case."""
    return _EMOTION.get(_plain(word))


def label_of(word: str, task: Task) -> str | None:
    """Find the label of a task that a corpus's word stands for.

    Parameters
    ----------
    word
        What the corpus says, in any case.
    task
        Whose labels.

    Returns
    -------
    str or None
        The label's name; ``None`` if the task has no such label.
    """
    plain = _plain(word)
    if plain in task.index:
        return plain
    emotion = _EMOTION.get(plain)
    if emotion is None:
        return None
    return next((name for name in task.names if _EMOTION.get(name) == emotion), None)


def _plain(word: str) -> str:
    return unicodedata.normalize("NFC", word.strip()).lower()
