"""Speech in several languages, a corpus each: who teaches, and who is tested."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.language_settings import NOTHING
from edge_client.simulation.study import Corpora
from edge_client.simulation.utterances import Indices, Utterances
from shared.corpora import CORPORA
from shared.errors import CorpusError, SettingsError, shown
from shared.features.labelled_clips import together
from shared.model_notes.model_card import Teaching, check_names

if TYPE_CHECKING:
    from rich.console import Console

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A language's name: it stands in tables, in pictures, and in the names of folders."""

_FORM: Final = "Give --corpus LANGUAGE=NAME:PATH, such as en=ravdess:PATH."


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and the corpus that is spoken in it.

    Attributes
    ----------
    name
        Of the language, as tables call it.
    corpus
        Name of the corpus.
    data
        Where it lies; ``None`` if it is made on the spot.
    """

    name: str
    corpus: str
    data: Path | None


def languages_named(texts: Sequence[str], fewest: int = 2) -> list[Language]:
    """Read languages that are written as ``LANGUAGE=NAME:PATH``.

    Raises
    ------
    SettingsError
        If one is not written so, its name is none, two have the same name, or there are fewer than
        ``fewest`` or more than a card names.
    """
    found = []
    for text in texts:
        name, _, place = text.partition("=")
        corpus, colon, path = place.partition(":")
        if not name or not corpus or (colon and not path) or "/" in name or "/" in corpus:
            raise SettingsError(f"{text} names no language, its corpus and its folder.", _FORM)
        if not _NAME.fullmatch(name) or name.lower() == NOTHING:
            raise SettingsError(
                f"{shown(repr(name))} cannot be the name of a language.",
                "Give it letters from a to z, digits, '.', '-' and '_', a letter or digit first, "
                f"and not '{NOTHING}'.",
            )
        found.append(Language(name, corpus, Path(path) if path else None))
    if len(found) < fewest:
        raise SettingsError(f"{fewest} languages are needed, and there are {len(found)}.", _FORM)
    check_names(len(found))
    for one, other in combinations(found, 2):
        if one.name == other.name:
            raise SettingsError(
                f"Two corpora are called {one.name}.", "Give each a name of its own."
            )
    return found


@dataclass(frozen=True)
class Languages:
    """The utterances of several languages, one language after the other.

    Attributes
    ----------
    names
        Of the languages.
    whole
        All utterances, not normalised; each speaker's name begins with the language's.
    spoken
        The language of each utterance, shape ``(n,)``: a place among ``names``.
    folds
        Groups that each language's speakers are divided into.
    """

    names: tuple[str, ...]
    whole: Utterances
    spoken: NDArray[np.int64]
    folds: int

    @classmethod
    def of(cls, parts: dict[str, Utterances], folds: int) -> "Languages":
        """Join the utterances of languages.

        Raises
        ------
        SettingsError
            If a language has too few speakers, or a clip is in two languages.
        """
        for name, part in parts.items():
            count = len(np.unique(part.speakers))
            if count == 1:
                raise SettingsError(
                    f"{name} has one speaker: no other speaker is left to test on.",
                    "Give a corpus of several speakers.",
                )
            if count < folds:
                raise SettingsError(
                    f"{count} speakers of {name} cannot be divided into {folds} folds.",
                    "Give fewer --folds.",
                )
        for one, other in combinations(parts, 2):
            if common := len(_sounds(parts[one]) & _sounds(parts[other])):
                raise SettingsError(
                    f"{one} and {other} have {common} clips in common.",
                    "Give each language its own corpus.",
                )
        speakers = [np.char.add(f"{name} ", part.speakers) for name, part in parts.items()]
        clips = [np.char.add(f"{name} ", part.clips) for name, part in parts.items()]
        whole = Utterances(
            together([part.examples for part in parts.values()]),
            np.concatenate(speakers),
            tuple(skipped for part in parts.values() for skipped in part.skipped),
            clips=np.concatenate(clips),
        )
        counts = [len(part.examples) for part in parts.values()]
        return cls(tuple(parts), whole, np.repeat(np.arange(len(parts)), counts), folds)

    def clips_in(self, *names: str) -> Indices:
        """Give the utterances in some languages."""
        places = [self.names.index(name) for name in names]
        return np.flatnonzero(np.isin(self.spoken, places))

    def tested(self, name: str, fold: int = 0) -> Indices:
        """Give the utterances of a language whose speakers a fold tests; fold 0 tests all."""
        own = self.clips_in(name)
        if not fold:
            return own
        speakers = self.whole.speakers[own]
        group = np.array_split(np.unique(speakers), self.folds)[fold - 1]
        return own[np.isin(speakers, group)]

    def taught(self, name: str, fold: int = 0) -> Indices:
        """Give the utterances of a language that a fold may learn from; fold 0 leaves out none."""
        own = self.clips_in(name)
        return np.setdiff1d(own, self.tested(name, fold)) if fold else own

    def few(self, name: str, fold: int, count: int, rng: np.random.Generator) -> Indices:
        """Draw so many utterances of each label of those that a fold may learn from.

        Where a label has fewer, all of them are given.
        """
        own = self.taught(name, fold)
        labels = self.whole.examples.labels[own]
        drawn = [rng.permutation(own[labels == label])[:count] for label in np.unique(labels)]
        return np.sort(np.concatenate(drawn)) if count else own[:0]


def _sounds(utterances: Utterances) -> set[bytes]:
    """Give a digest of each utterance's features: the same clip has the same."""
    features, frames = utterances.examples.features, utterances.examples.frames
    return {sha256(own[:n].tobytes()).digest() for own, n in zip(features, frames, strict=True)}


def teachings_of(
    languages: Languages, named: Sequence[Language], taught: Indices, lesson: str = ""
) -> tuple[Teaching, ...]:
    """Say, for a model's card, which corpora have taught.

    Parameters
    ----------
    languages
        Who speaks.
    named
        The corpus of each.
    taught
        The utterances that have taught.
    lesson
        What was learnt, where that was not labels alone.
    """
    found = []
    for language in named:
        own = np.intersect1d(taught, languages.clips_in(language.name))
        if not len(own):
            continue
        speakers = len(np.unique(languages.whole.speakers[own]))
        found.append(CORPORA.get(language.corpus).info.teaching(len(own), speakers, lesson))
    return tuple(found)


def load_languages(
    languages: Sequence[Language], settings: DataSettings, console: "Console"
) -> Languages:
    """Load the corpora of languages, and compute their features.

    Parameters
    ----------
    languages
        From :func:`languages_named`.
    settings
        The task, and the number of folds.
    console
        Where clips that cannot be used are named.

    Raises
    ------
    SettingsError
        If there is no such corpus, or :meth:`Languages.of` refuses it.
    CorpusError
        If a corpus is not there, or a label of the task is missing in it.
    """
    corpora, parts = Corpora(console), {}
    for language in languages:
        own = settings.model_copy(update={"corpus": language.corpus, "data": language.data})
        try:
            parts[language.name] = corpora.get(own)
        except CorpusError as error:
            if language.data is None:  # where these commands are told of places
                place = f"--corpus {language.name}={language.corpus}:PATH"
                error.remedy = error.remedy.replace("--data PATH", place)
            raise
    return Languages.of(parts, settings.folds)
