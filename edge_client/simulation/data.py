"""From a corpus to each client's examples: features, splits, normalisation."""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.voice_fitting import fit_voice
from edge_client.simulation.degradations import copies_in_conditions
from edge_client.simulation.partition_file import SUFFIX, divide_by_file
from edge_client.simulation.partitions import kept, partition
from edge_client.simulation.settings import DataSettings, SimulationSettings
from edge_client.simulation.waveforms import varied_clips
from shared.corpora import Clip, load_corpus
from shared.errors import CorpusError, SettingsError
from shared.features.cache import SkippedClip, extract_features
from shared.features.voice import VoiceModel
from shared.frames import joined
from shared.front_ends import FrontEnd, front_end_of
from shared.labelled_clips import normalised_by_owner
from shared.randomness import stream
from shared.task import Task
from shared.training import Examples

Indices = NDArray[np.int64]

DEFAULT_CLIENTS = 4

PAPER_SPLIT_SEED = 42
"""Seed of the paper's random test split (Chau & Garces, 2021)."""


@dataclass(frozen=True)
class Copies:
    """Varied copies of utterances, to train on beside them, not normalised.

    Attributes
    ----------
    examples
        As those of :class:`Utterances`.
    sources
        Shape ``(copies,)``: the index of the utterance that each is a copy of.
    """

    examples: Examples
    sources: Indices


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
        """SHA-256, in hexadecimal, of which they are: names, lengths, labels and speakers."""
        parts = (self.clips, self.examples.frames, self.examples.labels, self.speakers)
        listed = [part.tolist() for part in parts]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def take(self, where: Indices) -> "Utterances":
        """Select utterances of the first corpus by index, and their copies."""
        clips = self.clips[where] if len(self.clips) else self.clips
        copies = self.copies
        if copies is not None:
            place = np.full(len(self.examples), -1)
            place[where] = np.arange(len(where))
            sources = place[copies.sources]
            kept = np.flatnonzero(sources >= 0)
            copies = Copies(copies.examples.take(kept), sources[kept])
        taken = self.examples.take(where)
        return Utterances(taken, self.speakers[where], self.skipped, clips=clips, copies=copies)

    def with_copies(self, where: Indices) -> Indices:
        """Give indices of utterances, and behind them where :func:`normalise` has their copies."""
        if self.copies is None:
            return where
        copies = np.flatnonzero(np.isin(self.copies.sources, where))
        return np.concatenate([where, len(self.examples) + copies])


@dataclass(frozen=True)
class Split:
    """Indices of the utterances to train on, to choose by, and to test on.

    ``validation`` is empty where nothing is to be chosen.
    """

    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True)
class Shares(Sequence[Examples]):
    """The clients' examples, taken from the whole when asked for, so that clients cost no memory.

    Attributes
    ----------
    whole
        All examples.
    places
        The indices of each client's examples; they may overlap.
    """

    whole: Examples
    places: Sequence[Indices]

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self.places)

    @overload
    def __getitem__(self, index: int, /) -> Examples: ...
    @overload
    def __getitem__(self, index: slice, /) -> "Shares": ...
    def __getitem__(self, index: int | slice, /) -> "Examples | Shares":
        """Take one client's examples, or some clients."""
        if isinstance(index, slice):
            return Shares(self.whole, self.places[index])
        return self.whole.take(self.places[index])

    def counts(self, task: Task) -> NDArray[np.int64]:
        """Count each client's examples of each label, shape ``(clients, labels)``."""
        labels = self.whole.labels
        rows = [np.bincount(labels[place], minlength=len(task.labels)) for place in self.places]
        return np.array(rows, np.int64)


@dataclass(frozen=True)
class Data:
    """What a run works on, normalised.

    Attributes
    ----------
    clients
        Each client's examples; for the baseline one with all of them.
    validation, test
        Examples to choose by (may be empty) and to test on.
    """

    clients: Shares
    validation: Examples
    test: Examples


def load_utterances(settings: DataSettings, *, progress: bool = True) -> Utterances:
    """Load the corpus of a run, and the one to test on where that is another.

    Parameters
    ----------
    settings
        Which.
    progress
        Whether to show a progress bar, where standard error is a terminal.

    Raises
    ------
    CorpusError
        If a corpus is not there, or a label of the task is missing in it.
    """
    load = partial(_load, settings, progress=progress)
    here = load(settings.corpus, settings.data, trained=True)
    if settings.test_corpus is None:
        return here
    there = load(settings.test_corpus, settings.test_data)
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
    settings: DataSettings, corpus: str, data: Path | None, *, trained: bool = False, progress: bool
) -> Utterances:
    """Load a corpus and compute its features, or take them from the cache.

    Copies are made of the one that is trained on, if they are asked for.

    Raises
    ------
    CorpusError
        If the corpus is not there, or a label of the task is missing in it.
    """
    task, front_end = settings.task, front_end_of(settings.task.front_end)
    clips = clips_of(settings, corpus, data)
    found = extract_features(clips, front_end, progress=progress)
    labels = found.labels(task)
    missing = [name for i, name in enumerate(task.names) if not (labels == i).any()]
    if missing:
        raise CorpusError(
            f"The corpus {corpus} has no clip labelled {' or '.join(missing)}.",
            f"All {len(task.labels)} labels are needed: choose --labels that it has; "
            "'edge-client corpora' says how each corpus labels its clips.",
        )
    loaded = Utterances(
        Examples(found.features, found.frames, labels),
        np.array([f"{corpus} {clip.speaker}" for clip in found.clips]),
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
    return replace(loaded, copies=Copies(own, sources))


def clips_of(settings: DataSettings, corpus: str, data: Path | None) -> tuple[Clip, ...]:
    """Give the clips of a corpus that have a label of the task.

    Raises
    ------
    CorpusError
        If the corpus is not there.
    """
    options = {"happy": settings.happy} if corpus == "iemocap" else {}
    return load_corpus(corpus, data, settings.task, **options).labelled


def together(parts: Sequence[Examples]) -> Examples:
    """Join examples, those of the first part first."""
    return Examples(
        joined([part.features for part in parts]),
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def split(utterances: Utterances, settings: DataSettings) -> Split:
    """Divide utterances by the evaluation protocol.

    With another corpus to test on, that is the test; the validation split stays what it is.

    Raises
    ------
    SettingsError
        If there are fewer speakers than folds.
    """
    if utterances.foreign:
        count = len(utterances.speakers)
        home = np.arange(count - utterances.foreign)
        parts = split(utterances.take(home), settings)
        train = np.sort(np.concatenate([parts.train, parts.test]))
        return Split(train, parts.validation, np.arange(len(home), count))
    if settings.protocol == "paper":
        return _paper_split(len(utterances.speakers), settings)
    names = np.unique(utterances.speakers)
    if len(names) < settings.folds:
        fewer = f"Give --folds {len(names)} or fewer, or" if len(names) > 1 else "Give"
        raise SettingsError(
            f"{len(names)} speakers cannot be divided into {settings.folds} folds.",
            f"{fewer} --protocol paper.",
        )
    groups = np.array_split(names, settings.folds)
    test = np.isin(utterances.speakers, groups[settings.fold - 1])
    validation = np.zeros_like(test)
    if settings.validation:
        if settings.folds == 2:  # noqa: PLR2004 -- one for the test, one for training, none left
            raise SettingsError(
                "Two folds leave no speakers for validation.",
                "Give --folds 3 or more, or --no-validation.",
            )
        validation = np.isin(utterances.speakers, groups[settings.fold % settings.folds])
    return Split(
        np.flatnonzero(~test & ~validation), np.flatnonzero(validation), np.flatnonzero(test)
    )


def _paper_split(count: int, settings: DataSettings) -> Split:
    """Take a random tenth as the test, in the order of scikit-learn's ``train_test_split``."""
    order = np.random.RandomState(PAPER_SPLIT_SEED).permutation(count)
    tenth = -(-count // 10)
    test, rest = order[:tenth], order[tenth:]
    if not settings.validation:
        return Split(np.sort(rest), np.empty(0, np.int64), np.sort(test))
    rest = stream(settings.seed, "validation").permutation(rest)
    tenth = -(-len(rest) // 10)
    return Split(np.sort(rest[tenth:]), np.sort(rest[:tenth]), np.sort(test))


def divide(utterances: Utterances, settings: SimulationSettings) -> tuple[Split, list[Indices]]:
    """Split utterances, and divide the training set over the clients.

    Returns
    -------
    Split, list of numpy.ndarray
        The split, and the indices of each client's utterances and their copies, as
        :func:`normalise` has them; in the baseline one client has all.

    Raises
    ------
    SettingsError
        If there are not enough utterances, speakers or labels for the folds or the clients.
    """
    parts = split(utterances, settings)
    if settings.baseline:
        return parts, [utterances.with_copies(parts.train)]
    speakers = utterances.speakers[parts.train]
    rng = stream(settings.seed, "partition")
    if settings.partition.endswith(SUFFIX):
        file = Path(settings.partition)
        found = divide_by_file(file, utterances.clips[parts.train])
        most, clients = settings.examples_per_client, settings.clients or len(found)
        places = kept(settings.partition, found, len(speakers), clients, most, rng)
        return parts, [utterances.with_copies(parts.train[place]) for place in places]
    one_each = len(np.unique(speakers)) if settings.partition == "speaker" else DEFAULT_CLIENTS
    places = partition(
        settings.partition,
        utterances.examples.labels[parts.train],
        speakers,
        names=settings.task.names,
        clients=settings.clients or one_each,
        rng=rng,
        examples_per_client=settings.examples_per_client,
        alpha=settings.alpha,
    )
    return parts, [utterances.with_copies(parts.train[place]) for place in places]


def prepare(utterances: Utterances, settings: SimulationSettings) -> Data:
    """Normalise utterances, split them, and divide the training set over the clients.

    Raises
    ------
    SettingsError
        If there are not enough of them for the folds or the clients.
    """
    parts, places = divide(utterances, settings)
    examples = normalise(
        utterances,
        parts.train,
        settings.normalisation,
        front_end_of(settings.task.front_end),
    )
    return Data(
        Shares(examples, places),
        examples.take(parts.validation),
        examples.take(parts.test),
    )


def normalise(utterances: Utterances, train: Indices, how: str, front_end: FrontEnd) -> Examples:
    """Normalise features as ``none``, ``corpus``, ``device`` or ``voice`` says.

    A device's statistics are those of all the utterances it has heard from its user, labelled or
    not; here, of all utterances of the same speaker. Copies are normalised by the statistics of
    what they are copies of, and stand behind all utterances.

    Raises
    ------
    SettingsError
        If voices should be told from moods in features that are not one vector an utterance.
    CorpusError
        If the training set does not show what is voice and what is mood.
    """
    raw, speakers, copies = utterances.examples, utterances.speakers, utterances.copies
    count = len(raw)
    voice = _voice_model(utterances, train, front_end) if how == "voice" else None
    if copies is not None:
        raw = together([raw, copies.examples])
        speakers = np.concatenate([speakers, speakers[copies.sources]])
    if how == "none":
        return raw
    known = np.arange(len(raw)) < count
    if how == "corpus":
        known[:] = False
        known[train] = True
        speakers = np.repeat("the server", len(raw))
    return normalised_by_owner(raw, speakers, front_end, known, voice)


def _voice_model(utterances: Utterances, train: Indices, front_end: FrontEnd) -> VoiceModel:
    """Fit a voice model to the training set."""
    shape = front_end.shape
    if shape.frames != 1:
        raise SettingsError(
            f"Voices are told from moods in one vector an utterance; {shape.name} gives up to "
            f"{shape.frames} frames.",
            "Give --normalisation device, or a front end that pools over time.",
        )
    examples = utterances.examples.take(train)
    emotions = int(utterances.examples.labels.max()) + 1
    return fit_voice(examples.features[:, 0], examples.labels, utterances.speakers[train], emotions)
