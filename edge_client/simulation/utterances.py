"""The utterances of a corpus: features, labels and speakers, and varied copies."""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.degradations import copies_in_conditions
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.waveforms import varied_clips
from shared.corpora import Clip, Corpus, load_corpus
from shared.corpora.overlap import check_apart
from shared.errors import CorpusError
from shared.features.cache import SkippedClip, extract_features
from shared.features.labelled_clips import together
from shared.front_ends import front_end_of
from shared.training import Examples

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Copies:
    """Varied copies of utterances, to train on beside them, not normalised.

    Attributes
    ----------
    examples
        As those of :class:`Utterances`.
    sources
        Shape ``(copies,)``: the index of the utterance that each is a copy of.
    speakers
        Shape ``(copies,)``: by whose statistics each is normalised. The speaker of its source; or,
        heard elsewhere by a device of its own, a name that no utterance has.
    """

    examples: Examples
    sources: Indices
    speakers: NDArray[np.str_]

    def take(self, where: Indices, sources: Indices) -> "Copies":
        """Select some, and say what they are copies of among other utterances."""
        return Copies(self.examples.take(where), sources, self.speakers[where])


@dataclass(frozen=True)
class Utterances:
    """All utterances of a corpus that have a label of the task, not yet normalised.

    Attributes
    ----------
    examples
        Raw features, true numbers of frames, labels.
    speakers
        Who speaks each, shape ``(n,)``: the corpus' name and the speaker's.
    skipped
        Clips that could not be used, with the reason.
    foreign
        How many of them, at the end, are of another corpus to test on.
    clips
        How the corpus names each, shape ``(n,)``; empty where nobody asks for them by name.
    copies
        Of some of them, if any were asked for.
    """

    examples: Examples
    speakers: NDArray[np.str_]
    skipped: tuple[SkippedClip, ...]
    foreign: int = 0
    clips: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    copies: Copies | None = None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all of them: names, sounds, labels and speakers."""
        parts = (self.clips, self.examples.frames, self.examples.labels, self.speakers)
        listed = [part.tolist() for part in parts]
        digest = hashlib.sha256(json.dumps(listed).encode())
        digest.update(np.ascontiguousarray(self.examples.features).data)
        return digest.hexdigest()

    def take(self, where: Indices) -> "Utterances":
        """Select utterances of the first corpus by index, and their copies."""
        clips = self.clips[where] if len(self.clips) else self.clips
        copies = self.copies
        if copies is not None:
            place = np.full(len(self.examples), -1)
            place[where] = np.arange(len(where))
            sources = place[copies.sources]
            kept = np.flatnonzero(sources >= 0)
            copies = copies.take(kept, sources[kept])
        taken = self.examples.take(where)
        return Utterances(taken, self.speakers[where], self.skipped, clips=clips, copies=copies)

    def with_copies(self, where: Indices) -> Indices:
        """Give indices of utterances, and behind them those of their copies.

        The places are those of :func:`~edge_client.simulation.normalisation.normalise`.
        """
        if self.copies is None:
            return where
        copies = np.flatnonzero(np.isin(self.copies.sources, where))
        return np.concatenate([where, len(self.examples) + copies])


def load_utterances(settings: DataSettings, *, progress: bool = True) -> Utterances:
    """Load the corpus of a run, and the one to test on where that is another.

    Parameters
    ----------
    settings
        Which.
    progress
        Whether to show how far it is, on standard error.

    Raises
    ------
    CorpusError
        If a corpus is not there, or a label of the task is missing in it.
    SettingsError
        If a recording of the one is in the other.
    """
    corpus = _corpus(settings, settings.corpus, settings.data)
    if settings.test_corpus is None:
        return _load(settings, settings.corpus, corpus, trained=True, progress=progress)
    tested = _corpus(settings, settings.test_corpus, settings.test_data)
    check_apart([corpus], [tested])
    here = _load(settings, settings.corpus, corpus, trained=True, progress=progress)
    there = _load(settings, settings.test_corpus, tested, progress=progress)
    if settings.test_corpus == settings.corpus:  # two manifests: each has its own Anna
        there = replace(there, speakers=np.char.add("other ", there.speakers))
    return Utterances(
        together([here.examples, there.examples]),
        np.concatenate([here.speakers, there.speakers]),
        here.skipped + there.skipped,
        len(there.examples),
        np.concatenate([here.clips, there.clips]),
        here.copies,
    )


def _load(
    settings: DataSettings, name: str, corpus: Corpus, *, trained: bool = False, progress: bool
) -> Utterances:
    """Compute the features of a corpus of this name, or take them from the cache.

    Copies are made of the one that is trained on, if they are asked for.

    Raises
    ------
    CorpusError
        If a label of the task is missing in it.
    """
    task, front_end = settings.task, front_end_of(settings.task.front_end)
    found = extract_features(corpus.labelled, front_end, progress=progress)
    labels = found.labels(task)
    if missing := task.missing(labels):
        raise CorpusError(
            f"The corpus {name} has no clip labelled {' or '.join(missing)}.",
            f"All {len(task.labels)} labels are needed: choose --labels that it has; "
            "'edge-client corpora' says how each corpus labels its clips.",
        )
    loaded = Utterances(
        Examples(found.features, found.frames, labels),
        _speakers(name, found.clips),
        tuple(found.skipped),
        clips=np.array([clip.identifier for clip in found.clips]),
    )
    variants = [
        *varied_clips(found.clips, settings.augment_waveforms, settings.seed),
        *copies_in_conditions(found.clips, settings.augment_conditions, settings.seed),
    ]
    if not trained or not variants:
        return loaded
    varied = extract_features(variants, front_end, progress=progress)
    # A copy that cannot be used, as it is too short now, is missing among them.
    index = {clip.identifier: place for place, clip in enumerate(found.clips)}
    copied = (clip.identifier.rpartition("#")[0] for clip in varied.clips)
    sources = np.array([index[identifier] for identifier in copied], np.int64)
    own = Examples(varied.features, varied.frames, labels[sources])
    return replace(loaded, copies=Copies(own, sources, _speakers(name, varied.clips)))


def _speakers(corpus: str, clips: Sequence[Clip]) -> NDArray[np.str_]:
    return np.array([f"{corpus} {clip.speaker}" for clip in clips])


def clips_of(settings: DataSettings, corpus: str, data: Path | None) -> tuple[Clip, ...]:
    """Give the clips of a corpus that have a label of the task.

    Raises
    ------
    CorpusError
        If the corpus is not there.
    """
    return _corpus(settings, corpus, data).labelled


def _corpus(settings: DataSettings, name: str, data: Path | None) -> Corpus:
    options = {"happy": settings.happy} if name == "iemocap" else {}
    return load_corpus(name, data, settings.task, **options)
