"""A model to start with, made of the corpora that a person has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.discriminant_head import fit_discriminant_head
from edge_client.learning.softmax_regression import fit_softmax
from edge_client.learning.voice_fitting import fit_voices
from shared.architectures import Architecture, architecture_of
from shared.corpora import Clip, Corpus
from shared.errors import CorpusError, SettingsError, TrainingError
from shared.features.cache import ClipFeatures, extract_features, tell_skipped
from shared.features.labelled_clips import normalised_by_owner, together
from shared.features.prior import Prior
from shared.features.statistics import Start
from shared.features.voice import VoiceModel
from shared.front_ends import FrontEnd, front_end_of
from shared.metrics import Scores, confusion, predicted
from shared.model_notes.calibration import UNMEASURED, Calibration, Reliability
from shared.model_notes.model_card import ModelCard, cut
from shared.task import Task
from shared.training import Examples
from shared.weights import Weights, split

Normalisation = Literal["device", "voice"]
"""How the devices normalise that a starter is for."""

PRIOR_COUNT: Final = 4
"""Utterances that the statistics of a starter count for: after four of its own a device believes
what it has heard as much."""

_HEARINGS: Final = 3
"""How often a head is taught by each utterance: as heard by devices that know all, one or none of
the moods."""

PARTS: Final = 4
"""Parts of the speakers that are left out in turn, to measure how sure the head may be."""


Vary = Callable[[Clip], Sequence[Clip]]
"""Gives copies of a clip to train on, as devices in other places would hear it; the speaker of each
is a new one for each place."""


@dataclass(frozen=True)
class Starter:
    """What a device can begin with.

    Attributes
    ----------
    weights, architecture
        Of the head.
    begun
        What a device's statistics begin with: a voice model, or a prior.
    calibration
        How sure its answers may be, measured on speakers of these corpora who were left out in
        turn. In another language or room it is right less often than it is sure.
    taught_by
        The corpora that it was made of, with the clips alone that could be used.
    """

    weights: Weights
    architecture: Architecture
    begun: Start
    calibration: Calibration
    taught_by: Sequence[Corpus]


@dataclass(frozen=True)
class _Heard:
    """Utterances with who spoke them.

    Attributes
    ----------
    raw
        Their features, not normalised.
    devices
        Whose device heard each, and where, shape ``(n,)``: they have statistics of their own.
    people
        Who spoke each, shape ``(n,)``.
    corpora
        Which corpus each is of, shape ``(n,)``.
    """

    raw: Examples
    devices: NDArray[np.str_]
    people: NDArray[np.str_]
    corpora: NDArray[np.intp]

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which are copies, shape ``(n,)``: these are heard by devices in other places."""
        found: NDArray[np.bool_] = self.devices != self.people
        return found

    def take(self, some: NDArray[np.bool_]) -> "_Heard":
        """Select utterances."""
        chosen = self.raw.take(np.flatnonzero(some))
        return _Heard(chosen, self.devices[some], self.people[some], self.corpora[some])


def make_starter(
    corpora: Sequence[Corpus],
    task: Task,
    how: Normalisation,
    vary: Vary = lambda _: (),
    *,
    measured: bool = True,
    progress: bool = True,
) -> Starter:
    """Fit a head, and what statistics begin with, to the labelled clips of corpora.

    A speaker's clips are normalised as devices do that have heard all of them, one label only, or
    nothing; with ``voice`` by models of voices that do not know the speaker.

    Parameters
    ----------
    corpora
        At least one; together they have every label of the task.
    task
        What is recognised, by vectors of whole utterances.
    how
        How devices will normalise.
    vary
        Gives copies of each clip that teach, too; none, if not given.
    measured
        Whether to measure how sure its answers may be: that takes four times as long again.
    progress
        Whether to show how far it is, and name clips that cannot be used, on standard error.

    Raises
    ------
    SettingsError
        If the task's front end gives frames.
    CorpusError
        If no clip can be used, or the clips do not show what is voice and what is mood.
    TrainingError
        If vectors of different labels do not differ.
    """
    if task.front_end.frames != 1:
        raise SettingsError(
            f"A starter is made of one vector an utterance; {task.front_end.name} gives frames.",
            "Give --front-end whisper-speech.",
        )
    front_end = front_end_of(task.front_end)
    parts, taught_by = [], []
    for place, corpus in enumerate(corpora):
        found = _usable(corpus, front_end, progress=progress)
        taught_by.append(replace(corpus, clips=found.clips))
        parts.append(_heard(found, task, place, {}))
        varied = [(copy, clip.speaker) for clip in corpus.labelled for copy in vary(clip)]
        if varied:
            found = extract_features([copy for copy, _ in varied], front_end, progress=progress)
            of = {copy.speaker: speaker for copy, speaker in varied}
            parts.append(_heard(found, task, place, of))
    heard = _joined(parts)
    _check(heard, task)
    architecture = architecture_of("head", task)
    several = len(corpora) > 1
    weights, begun = _fit(heard, front_end, architecture, how, several=several)
    calibration = UNMEASURED
    if measured:
        calibration = _calibrated(heard, front_end, architecture, how, several=several)
    return Starter(weights, architecture, begun, calibration, taught_by)


def _usable(corpus: Corpus, front_end: FrontEnd, *, progress: bool) -> ClipFeatures:
    """Compute the features of labelled clips; with progress, name those that cannot be used."""
    found = extract_features(corpus.labelled, front_end, progress=progress)
    if progress:
        tell_skipped(found.skipped)
    return found


def _fit(
    heard: _Heard,
    front_end: FrontEnd,
    architecture: Architecture,
    how: Normalisation,
    *,
    several: bool,
) -> tuple[Weights, Start]:
    """Fit a head, and what statistics begin with; ``several`` corpora teach, or one.

    Within a corpus both heads are as often right, and softmax regression is less often surer than
    it should be of people elsewhere. What several corpora have in common discriminant analysis
    finds better.
    """
    labels, raw = len(architecture.task.labels), heard.raw
    begun: Start
    taught: list[tuple[_Heard, Start]] = []
    if how == "voice":
        vectors = raw.features[:, 0]
        voices = fit_voices(vectors, raw.labels, heard.devices, heard.people, labels)
        begun, unknown = voices.model, np.ones(len(raw), bool)
        for part in voices.parts:
            taught.append((heard.take(part.theirs), part.model))
            unknown &= ~part.theirs
        if unknown.any():
            taught.append((heard.take(unknown), begun))
    else:
        wide = raw.features[:, 0].astype(np.float64)
        begun = Prior(wide.mean(axis=0), wide.std(axis=0), PRIOR_COUNT)
        taught.append((heard, begun))
    examples = together([_as_devices_hear(own, front_end, start) for own, start in taught])
    corpora = np.concatenate([np.tile(own.corpora, _HEARINGS) for own, _ in taught])
    features = examples.features[:, 0]
    if several:
        return fit_discriminant_head(features, examples.labels, corpora, labels), begun
    return fit_softmax(features, examples.labels, labels), begun


def _calibrated(
    heard: _Heard,
    front_end: FrontEnd,
    architecture: Architecture,
    how: Normalisation,
    *,
    several: bool,
) -> Calibration:
    """Measure how sure a head may be: each part of the people by one that has not heard them.

    On devices that know all, one or none of their moods alike: nobody knows which there will be.
    """
    logits, taken = [], []
    names = np.unique(heard.people)
    for part in np.array_split(names, min(PARTS, len(names))):
        out = np.isin(heard.people, part)
        rest, left_out = heard.take(~out), heard.take(out & ~heard.copies)
        try:
            _check(rest, architecture.task)
            weights, begun = _fit(rest, front_end, architecture, how, several=several)
        except (CorpusError, TrainingError):  # too little is left without these people
            continue
        for found, examples in _by_known(weights, architecture, begun, left_out).values():
            logits.append(found)
            taken.append(examples)
    if not logits:
        return UNMEASURED
    examples = together(taken)
    return Calibration.measured(np.concatenate(logits), examples.labels, examples.doubts)


def speakers_of(corpora: Sequence[Corpus]) -> set[tuple[str, str]]:
    """Name the speakers of corpora, each with the corpus."""
    return {(corpus.info.name, speaker) for corpus in corpora for speaker in corpus.speakers}


def card_for(
    corpora: Sequence[Corpus], reached: Mapping[str, Mapping[str, tuple[float, float]]]
) -> ModelCard:
    """Write down which corpora taught a model, and what it reached on others.

    Parameters
    ----------
    corpora
        Those it was made of, with the clips alone that taught it.
    reached
        By the title of each other corpus, what :func:`reached_on` found.
    """
    taught_by = tuple(own.info.teaching(len(own.labelled), len(own.speakers)) for own in corpora)
    rounded = {
        cut(title): {known: round(uar, 3) for known, (uar, _) in by_known.items()}
        for title, by_known in reached.items()
    }
    return ModelCard(taught_by=taught_by, reached=rounded)


def _check(heard: _Heard, task: Task) -> None:
    """Refuse clips that cannot teach what a device begins with."""
    if missing := task.missing(heard.raw.labels):
        raise CorpusError(
            f"No clip is labelled {' or '.join(missing)}: a starter is made of all labels.",
            "Add a corpus that has them, or give other --labels.",
        )
    if len(np.unique(heard.people)) == 1:
        raise CorpusError(
            "All clips are of one speaker, who does not show how voices differ.",
            "Give clips of several speakers.",
        )


def reached_on(
    starter: Starter, corpus: Corpus, *, progress: bool = True
) -> dict[str, tuple[float, float]]:
    """Test a starter on the speakers of another corpus, each with a device of their own.

    Returns
    -------
    dict of str to (float, float)
        UAR and expected calibration error where the device has heard ``all`` of a speaker's clips,
        those of ``one`` label, or ``none`` but the clip itself.

    Raises
    ------
    CorpusError
        If no clip can be used, or a label has none.
    """
    task = starter.architecture.task
    front_end = front_end_of(task.front_end)
    features = _usable(corpus, front_end, progress=progress)
    heard = _heard(features, task, 0, {})
    labels = heard.raw.labels
    if missing := task.missing(labels):
        raise CorpusError(f"{corpus.info.title} has no clip that is {missing[0]}, to test on.")
    found = {}
    for known, (logits, examples) in _by_known(
        starter.weights, starter.architecture, starter.begun, heard
    ).items():
        counts = confusion(labels, predicted(logits), len(task.names))
        sure = starter.calibration.probabilities(logits, examples.doubts)
        relied = Reliability.of(sure, labels)
        found[known] = Scores.from_confusion(counts, task.names).uar, relied.error
    return found


def _by_known(
    weights: Weights, architecture: Architecture, begun: Start, heard: _Heard
) -> dict[str, tuple[NDArray[np.float32], Examples]]:
    """Compute the logits on devices that know all, one or none of their user's moods.

    With what they are computed from.
    """
    owners = {
        "all": heard.devices,
        "one": _one_mood_each(heard),
        "none": np.arange(len(heard.raw)).astype(np.str_),
    }
    kernel, bias = split(weights, architecture).values()
    front_end = front_end_of(architecture.task.front_end)
    found = {}
    for known, devices in owners.items():
        examples = normalised_by_owner(heard.raw, devices, front_end, begun=begun, recognised=True)
        found[known] = examples.features[:, 0] @ kernel + bias, examples
    return found


def _as_devices_hear(heard: _Heard, front_end: FrontEnd, begun: Start) -> Examples:
    """Normalise all utterances :data:`_HEARINGS` times, in the same order each time.

    A voice is inferred from one utterance at least, which is the one that is normalised.
    """
    raw, each = heard.raw, np.arange(len(heard.raw)).astype(np.str_)
    nobody = None if isinstance(begun, VoiceModel) else np.zeros(len(raw), bool)
    return together(
        [
            normalised_by_owner(raw, heard.devices, front_end, begun=begun),
            normalised_by_owner(raw, _one_mood_each(heard), front_end, begun=begun),
            normalised_by_owner(raw, each, front_end, nobody, begun),
        ]
    )


def _one_mood_each(heard: _Heard) -> NDArray[np.str_]:
    """Name the devices of people each of whom is in one mood all day."""
    pairs = zip(heard.devices, heard.raw.labels, strict=True)
    return np.array([f"{own} {label}" for own, label in pairs])


def _heard(features: ClipFeatures, task: Task, corpus: int, of: Mapping[str, str]) -> _Heard:
    """Say who spoke utterances of a corpus; ``of`` says it of the speakers of copies."""
    speakers = [clip.speaker for clip in features.clips]
    return _Heard(
        Examples(features.features, features.frames, features.labels(task)),
        np.array([f"{corpus} {speaker}" for speaker in speakers]),
        np.array([f"{corpus} {of.get(speaker, speaker)}" for speaker in speakers]),
        np.full(len(speakers), corpus),
    )


def _joined(parts: Sequence[_Heard]) -> _Heard:
    """Put utterances together."""
    return _Heard(
        together([part.raw for part in parts]),
        np.concatenate([part.devices for part in parts]),
        np.concatenate([part.people for part in parts]),
        np.concatenate([part.corpora for part in parts]),
    )
