"""Vectors of utterances that an experiment compares: what makes them, and whom they may have heard.

They are written as ``--vectors`` takes them: front ends that pool, a network that tells speakers,
vectors of what is said, and several of these side by side, joined by ``+``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.language_settings import EmbeddingSettings, called
from edge_client.simulation.studies.languages import Language, Languages, load_languages
from edge_client.simulation.studies.modalities import ALIKE, told_by_words, words_of
from edge_client.simulation.studies.pretrained_file import check_unheard, keep_pretrained
from edge_client.simulation.studies.pretraining import Course
from edge_client.simulation.studies.telling_speakers import lesson_of, tell_speakers
from edge_client.simulation.utterances import clips_of
from shared.architectures import architecture_of
from shared.corpora import load_speech
from shared.errors import CorpusError, SettingsError
from shared.front_ends import ENCODER_SUFFIX, MFCC40, FrontEnd, file_named, front_end_named
from shared.sentences import SentenceEncoder, sentence_encoder
from shared.task import Task
from shared.training import Examples

if TYPE_CHECKING:
    from rich.console import Console

SPEAKERS: Final = "speakers"
"""Names the network that is taught to tell speakers of the languages that are not tested."""

TEXT: Final = "text"
"""Names vectors of what is said."""

_MODEL: Final = "tdnn13"
"""That network; it hears through ``mfcc40``."""


@dataclass(frozen=True)
class Vectors:
    """A vector of each utterance.

    Attributes
    ----------
    name
        As ``--vectors`` has it.
    languages
        The utterances, one frame each.
    front_end
        Of so many features; it stands for all that made them.
    data
        Settings of how they are normalised and tested.
    """

    name: str
    languages: Languages
    front_end: FrontEnd
    data: DataSettings


class VectorMaker:
    """Makes vectors of the utterances of languages.

    Parameters
    ----------
    settings
        Of the experiment.
    languages
        Who speaks.
    out
        The experiment's folder: networks that tell speakers are kept in ``speakers/``.
    console
        For what is to be said.
    overwrite
        Whether to teach these anew.

    Raises
    ------
    SettingsError
        If vectors are named that cannot be made.
    """

    def __init__(
        self,
        settings: EmbeddingSettings,
        languages: Sequence[Language],
        out: Path,
        console: "Console",
        *,
        overwrite: bool,
    ) -> None:
        self._settings, self._languages = settings, languages
        self._out, self._console, self._overwrite = out, console, overwrite
        self._parts: dict[str, Languages] = {}
        self._networks: dict[str, Path] = {}
        self._check()

    def make(self, name: str, tested: str) -> Vectors:
        """Make vectors to test a language on.

        Raises
        ------
        ChorusError
            If a corpus, a clip's features, a network or vectors of sentences cannot be made.
        """
        parts = [self._part(part, tested) for part in name.split("+")]
        first = parts[0]
        if any(not np.array_equal(own.whole.clips, first.whole.clips) for own in parts):
            raise SettingsError(
                f"Vectors of {called(name)} cannot stand side by side: some clips can be used by "
                "one and not by another.",
                "Leave these clips out of the corpus.",
            )
        features = np.concatenate([own.whole.examples.features for own in parts], axis=2)
        examples = replace(first.whole.examples, features=features)
        whole = replace(first.whole, examples=examples)
        heard = front_end_named(self._heard_through(name.split("+", maxsplit=1)[0], tested))
        shape = replace(heard.shape, frames=1, features=features.shape[2], variable=False)
        front_end = replace(heard, shape=shape, hop=None)
        data = self._settings.data(heard.shape.name)
        return Vectors(name, replace(first, whole=whole), front_end, data)

    @cached_property
    def _sentences(self) -> SentenceEncoder:
        return sentence_encoder(self._settings.sentences)

    def _check(self) -> None:
        """Find now what would be missing later."""
        names = self._settings.vectors
        titles = [called(name) for name in names]
        for title in titles:
            if titles.count(title) > 1:
                raise SettingsError(
                    f"Two --vectors are called {title}.", "Give their files different names."
                )
        parts = {part for name in names for part in name.split("+")}
        if SPEAKERS in parts and len(self._languages) == 1:
            raise SettingsError(
                f"A network that tells speakers has nobody to learn from: {self._languages[0].name}"
                " is the only language, and it is tested.",
                "Give another --corpus, or --vectors FILE of edge-client pretrain speakers.",
            )
        if TEXT in parts:
            self._console.print(f"Text is told by {self._sentences.name}.", soft_wrap=True)
        for part in parts - {SPEAKERS, TEXT}:
            shape = front_end_named(part).shape
            if shape.frames != 1:
                raise SettingsError(
                    f"LDA compares one vector an utterance; {shape.name} gives up to "
                    f"{shape.frames} frames.",
                    "Give a front end that pools over time, such as whisper-speech.",
                )
            if file := file_named(part):
                corpora = [own.corpus for own in self._languages]
                check_unheard(file, corpora, "Give --vectors speakers: it is taught by the others.")

    def _part(self, part: str, tested: str) -> Languages:
        """Make the vectors of one part, once."""
        heard = self._heard_through(part, tested)
        key = TEXT if part == TEXT else heard
        if key not in self._parts:
            data = self._settings.data(heard)
            loaded = load_languages(self._languages, data, self._console)
            self._parts[key] = self._worded(loaded, data) if part == TEXT else loaded
        return self._parts[key]

    def _worded(self, loaded: Languages, data: DataSettings) -> Languages:
        """Put the vectors of what is said in the place of what was heard."""
        found = []
        for language in self._languages:
            clips = {c.identifier: c for c in clips_of(data, language.corpus, language.data)}
            names = loaded.whole.clips[loaded.clips_in(language.name)]
            own = [clips[name.removeprefix(f"{language.name} ")] for name in names]
            found.append(words_of(own, self._sentences).values)
            if any(clip.text for clip in own) and told_by_words(own) <= ALIKE:
                self._console.print(
                    f"The words of {language.name} are the same for every label: they can tell "
                    "nothing.",
                    soft_wrap=True,
                )
        vectors = np.concatenate(found)
        if not vectors.any():
            raise CorpusError(
                "Of no clip it is known what is said: there are no vectors of text.",
                "Give corpora with transcripts, a manifest with the column text, or other "
                "--vectors.",
            )
        ones = np.ones(len(vectors), np.int32)
        examples = Examples(vectors, ones, loaded.whole.examples.labels)
        return replace(loaded, whole=replace(loaded.whole, examples=examples))

    def _heard_through(self, part: str, tested: str) -> str:
        """Name the front end that a part's clips are heard through."""
        if part == TEXT:
            return MFCC40.name  # whatever can be heard is read
        return str(self._speakers(tested)) if part == SPEAKERS else part

    def _speakers(self, tested: str) -> Path:
        """Give the network that has heard nobody of a language; teach it, if that is not done."""
        if tested not in self._networks:
            self._networks[tested] = self._taught(tested)
        return self._networks[tested]

    def _taught(self, tested: str) -> Path:
        path = self._out / SPEAKERS / f"without-{tested}{ENCODER_SUFFIX}"
        task = Task(self._settings.data(MFCC40.name).task.labels, MFCC40)
        others = [own for own in self._languages if own.name != tested]
        corpora = [load_speech(own.corpus, own.data, task) for own in others]
        course = Course(self._settings.pretraining_epochs, seed=self._settings.seed)
        architecture = architecture_of(_MODEL, task)
        keep_pretrained(
            path,
            architecture,
            corpora,
            lesson_of(course),
            partial(tell_speakers, corpora, architecture, course),
            overwrite=self._overwrite,
        )
        return path
