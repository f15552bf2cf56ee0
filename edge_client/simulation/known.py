"""What a device knows of its user when it recognises: all moods, some, one, or nothing yet.

Statistics of a speaker's own utterances (``device`` normalisation) take away what is constant in
them. If that is the mood, it goes with the voice. So a model is tested with statistics of all of a
speaker's utterances, and of less.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.data import Split
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import KNOWN, MOSTLY, DataSettings
from edge_client.simulation.utterances import Indices, Utterances
from shared.front_ends import FrontEnd, front_end_of
from shared.metrics import Scores
from shared.model_notes.calibration import Reliability
from shared.randomness import stream
from shared.training import Examples

Scored = TypeVar("Scored")

_MOODS: Final = {"two": 2, "one": 1}
"""How many labels a device hears of its user, in each of these cases."""

_SHARE: Final = 8
"""Who is mostly in one mood is this often in it for once in each other."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a test speaker.

    Attributes
    ----------
    heard
        Indices of the utterances that it has statistics of.
    tested
        Which of those are scored, as places in ``heard``.
    """

    heard: Indices
    tested: Indices


def devices(known: str, utterances: Utterances, test: Indices, seed: int) -> Iterator[Device]:
    """Give the devices that recognise the utterances of a test.

    Parameters
    ----------
    known
        ``all``: one device a speaker, which has heard everything. ``two`` or ``one``: a device for
        each choice of so many of the speaker's labels, which has heard, and recognises, nothing
        else (a person in one mood all day). ``none``: a device for each utterance, which has heard
        nothing before. ``mostly``: a device for each of the speaker's labels, which has heard, and
        recognises, all of that label and an eighth as many of each other, drawn at random. A
        number: a device for each utterance, which has heard so many others of that speaker, drawn
        at random.
    utterances
        Of all speakers.
    test
        Which of them are scored.
    seed
        Of the run; what others were heard is drawn from a stream of its own.
    """
    tested = np.zeros(len(utterances.speakers), np.bool_)
    tested[test] = True
    labels = utterances.examples.labels
    for speaker in np.unique(utterances.speakers[test]):
        own = np.flatnonzero(utterances.speakers == speaker)
        if known == "all":
            yield Device(own, np.flatnonzero(tested[own]))
        elif known in _MOODS:
            moods = np.unique(labels[own])
            for choice in combinations(moods, min(_MOODS[known], len(moods))):
                heard = own[np.isin(labels[own], choice)]
                yield Device(heard, np.flatnonzero(tested[heard]))
        elif known == MOSTLY:
            rng = stream(seed, "mostly one label", str(speaker))
            for heard in _mostly_one(labels[own], rng):
                yield Device(own[heard], np.flatnonzero(tested[own[heard]]))
        else:
            count = 0 if known == "none" else int(known)
            rng = stream(seed, "known utterances", count, str(speaker))
            for index in own[tested[own]]:
                others = own[own != index]
                drawn = rng.choice(others, min(count, len(others)), replace=False)
                yield Device(np.append(drawn, index), np.array([len(drawn)]))


def _mostly_one(labels: NDArray[np.int32], rng: np.random.Generator) -> Iterator[Indices]:
    """Give for each label all places of it, and some of each other, in their order."""
    places = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
    for most, own in places.items():
        count = max(1, round(len(own) / _SHARE))
        others = [
            rng.choice(few, min(count, len(few)), replace=False)
            for label, few in places.items()
            if label != most
        ]
        yield np.sort(np.concatenate([own, *others]))


def joined(some: Sequence[Device]) -> tuple[Indices, Indices, Indices]:
    """Put together what devices have heard, one device after the other.

    Returns
    -------
    heard : numpy.ndarray
        Indices of the utterances, shape ``(n,)``.
    owners : numpy.ndarray
        Which of the devices heard each, shape ``(n,)``.
    tested : numpy.ndarray
        Which of those are scored, as places in ``heard``.
    """
    counts = [len(device.heard) for device in some]
    begins = np.cumsum([0, *counts[:-1]])
    return (
        np.concatenate([device.heard for device in some]),
        np.repeat(np.arange(len(some)), counts),
        np.concatenate([b + device.tested for b, device in zip(begins, some, strict=True)]),
    )


def examples_of(
    some: Sequence[Device],
    utterances: Utterances,
    train: Indices,
    how: str,
    front_end: FrontEnd,
) -> Examples:
    """Give the tested utterances of devices, each normalised by what its device has heard.

    Parameters
    ----------
    some
        The devices; each is a speaker of its own to
        :func:`edge_client.simulation.normalisation.normalise`.
    utterances
        Of all speakers, not normalised.
    train
        Which of them a model was trained on; their copies, too.
    how
        The normalisation.
    front_end
        What computed the features.
    """
    heard, owners, tested = joined(some)
    names = np.array([f"device {number}" for number in range(len(some))])
    whole = Utterances(
        utterances.examples.take(np.concatenate([train, heard])),
        np.concatenate([utterances.speakers[train], names[owners]]),
        (),
        copies=utterances.take(train).copies,
    )
    normal = normalise(whole, np.arange(len(train)), how, front_end, recognised=True)
    return normal.take(len(train) + tested)


def examples_by(
    known: str,
    utterances: Utterances,
    train: Indices,
    tested: Indices,
    settings: DataSettings,
    front_end: FrontEnd | None = None,
) -> Examples:
    """Give utterances as devices hear them that know so much of their users.

    Parameters
    ----------
    known
        As :func:`devices` takes it.
    utterances
        Of all speakers, not normalised.
    train, tested
        Which of them a model was trained on, and which are given.
    settings
        Of the run.
    front_end
        What computed the features; that of the settings, if not given.
    """
    some = list(devices(known, utterances, tested, settings.seed))
    front_end = front_end or front_end_of(settings.task.front_end)
    return examples_of(some, utterances, train, settings.normalisation, front_end)


def score_by_known(
    utterances: Utterances,
    parts: Split,
    all_known: Examples,
    settings: DataSettings,
    score: Callable[[Examples], Scored],
    front_end: FrontEnd | None = None,
) -> dict[str, Scored]:
    """Score a test for each of :data:`KNOWN`, and for what the settings say.

    Parameters
    ----------
    utterances
        Of all speakers, not normalised.
    parts
        Which of them are trained on, and which are the test.
    all_known
        Those of the test, normalised as the run does: by all of a speaker's utterances. With the
        normalisations ``none`` and ``corpus``, what is known of a speaker changes nothing.
    settings
        Of the run.
    score
        Scores normalised utterances. With ``two``, it is given most utterances several times, once
        for each choice of labels.
    front_end
        What computed the features; that of the settings, if not given.
    """
    given = utterances, parts.train, parts.test, settings, front_end
    if settings.normalisation == "voice":  # which a run trains on otherwise than it recognises
        all_known = examples_by("all", *given)
    found = {"all": score(all_known)}
    for known in dict.fromkeys((*KNOWN, settings.known)):
        if known == "all":
            continue
        if settings.normalisation in ("none", "corpus"):
            found[known] = found["all"]
            continue
        found[known] = score(examples_by(known, *given))
    return found


def document_of(
    scores: Mapping[str, Scores], reliabilities: Mapping[str, Reliability] = {}
) -> dict[str, Any]:
    """Write down, for ``result.json``, how a test went for all that may be known.

    The UAR and the confusion; and where it was measured, how far answers could be relied on.
    """
    found: dict[str, Any] = {
        known: {"uar": own.uar, "confusion": [list(row) for row in own.confusion]}
        for known, own in scores.items()
    }
    for known, own in reliabilities.items():
        found[known] |= {"calibration_error": own.error, "reliability": own.to_dict()}
    return found
