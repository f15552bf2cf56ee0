"""Fitting what voices and emotions do to an encoder's vectors, to labelled speakers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.expression_fitting import as_kept, fit_expressions
from edge_client.learning.voice_belief import Speaker, fit_belief
from shared.errors import CorpusError
from shared.features.expression import Expressions
from shared.features.moods import Values
from shared.features.voice import NEVER, VoiceModel, VoiceStatistics
from shared.randomness import stream

COORDINATES: Final = 64
"""Principal components that are kept: within a corpus 128 do as well, to other corpora 64 do
better."""

ROUNDS: Final = 15
"""Of expectation-maximisation; the covariances change little after ten."""

TOWARDS_DIAGONAL: Final = (0.1, 0.05)
"""How far the covariances of voices, and of the rest, are drawn to their diagonals: there are
fewer speakers than coordinates (Ledoit & Wolf, 2004)."""

PARTS: Final = 4
"""Groups of speakers that are left out in turn, to fit the model's belief on strangers."""

_FEWEST_SPEAKERS: Final = 2
_FEWEST_UTTERANCES: Final = 4
"""Of each emotion, on average."""

_FLOOR: Final = 1e-6


@dataclass(frozen=True)
class _Covariances:
    """Of voices and of the rest, ``(coordinates, coordinates)`` each; the emotions' offsets."""

    voices: Values
    rest: Values
    emotions: Values


@dataclass(frozen=True)
class Part:
    """Some people, and a model of voices that was fitted without them.

    Attributes
    ----------
    theirs
        Which utterances are theirs, shape ``(n,)``.
    model
        Fitted to the others'.
    """

    theirs: NDArray[np.bool_]
    model: VoiceModel


@dataclass(frozen=True)
class FittedVoices:
    """A voice model, and those that show how it does with people whom it has not heard.

    Attributes
    ----------
    model
        Fitted to all.
    parts
        Of the people; some, or all, are in none where too little is left without them.
    """

    model: VoiceModel
    parts: tuple[Part, ...]


def fit_voices(
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[np.str_],
    people: NDArray[np.str_],
    emotions: int,
) -> FittedVoices:
    """Fit a voice model, and one without each part of the people.

    By maximum likelihood, with shrunk covariances. What a device makes of strangers is fitted to
    people whom the model of the others has not heard.

    Parameters
    ----------
    vectors
        Shape ``(n, features)``.
    labels
        Shape ``(n,)``: which emotion each is.
    speakers
        Shape ``(n,)``: whose each is, or who with which microphone in which room.
    people
        Shape ``(n,)``: who speaks each, wherever it was heard.
    emotions
        How many there are.

    Raises
    ------
    CorpusError
        If there are fewer than two speakers, an emotion is missing, there are too few vectors, or
        most of them are alike.
    """
    if lacks := _lacks(vectors, labels, speakers, emotions):
        raise CorpusError(
            f"{lacks}: they do not show what is the voice and what is the emotion.",
            "Give some utterances of each emotion, by two speakers or more; or choose "
            "--normalisation device.",
        )
    parts = []
    names = stream(0, "voice parts").permutation(np.unique(people))
    for some in np.array_split(names, min(PARTS, len(names))):
        theirs = np.isin(people, some)
        rest = vectors[~theirs], labels[~theirs], speakers[~theirs], emotions
        if not _lacks(*rest):
            parts.append(Part(theirs, _fit_gaussian(*rest)))
    strangers = [
        Speaker(part.model, vectors[own], labels[own])
        for part in parts
        for name in np.unique(speakers[part.theirs])
        if len(np.unique(labels[own := part.theirs & (speakers == name)])) == emotions
    ]
    belief = as_kept(fit_belief(strangers))
    believing = tuple(replace(part, model=replace(part.model, belief=belief)) for part in parts)
    expressions = _expressions(believing, vectors, labels, speakers, emotions)
    model = _fit_gaussian(vectors, labels, speakers, emotions)
    return FittedVoices(replace(model, belief=belief, expressions=expressions), believing)


def _expressions(
    parts: Sequence[Part],
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[np.str_],
    emotions: int,
) -> Expressions | None:
    """Fit how people show emotions, as devices hear them whose voice model does not know them."""
    heard, known = np.zeros_like(vectors), np.zeros(len(vectors), np.bool_)
    for part in parts:
        for name in np.unique(speakers[part.theirs]):
            own = part.theirs & (speakers == name)
            statistics = VoiceStatistics(part.model)
            statistics.update(vectors[own])
            heard[own] = statistics.normalise(vectors[own, None], 1)[:, 0]
        known |= part.theirs
    if len(np.unique(labels[known])) < emotions:
        return None
    return fit_expressions(heard[known], labels[known], speakers[known], emotions)


def _lacks(
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[np.str_],
    emotions: int,
) -> str | None:
    """Say what utterances lack to show voices: two speakers, all emotions, or enough of both."""
    if len(np.unique(speakers)) < _FEWEST_SPEAKERS:
        return "All utterances are of one speaker"
    if missing := emotions - len(np.unique(labels)):
        return f"Of {emotions} emotions, the utterances have none of {missing}"
    if len(vectors) < (fewest := _FEWEST_UTTERANCES * emotions):
        return f"There are {len(vectors)} utterances, and {fewest} are needed"
    return None


def _fit_gaussian(
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[np.str_],
    emotions: int,
) -> VoiceModel:
    """Fit all but the belief."""
    own = np.unique(speakers, return_inverse=True)[1]
    wide = vectors.astype(np.float64)
    mean = _means(wide, labels, emotions).mean(axis=0)
    scale = wide.std(axis=0) + _FLOOR
    wide = (wide - mean) / scale
    _, _, axes = np.linalg.svd(wide, full_matrices=False)
    axes = axes[: min(COORDINATES, len(wide) // 2)]
    fitted = _fit(wide @ axes.T, labels, own, emotions)
    # Coordinates in which the rest is white and voices are independent.
    lower = np.linalg.cholesky(fitted.rest)
    white = np.linalg.inv(lower)
    spread, turn = np.linalg.eigh(white @ fitted.voices @ white.T)
    to = turn.T @ white
    middle = fitted.emotions.mean(axis=0)  # a share of the emotions is one around this
    return VoiceModel(
        mean=as_kept(mean + scale * (middle @ axes)),
        scale=as_kept(scale),
        projection=as_kept(to @ axes),
        lift=as_kept(axes.T @ lower @ turn),
        spread=as_kept(np.maximum(spread, _FLOOR)),
        emotions=as_kept((fitted.emotions - middle) @ to.T),
        belief=np.array(NEVER),
    )


def _means(values: Values, labels: NDArray[np.integer[Any]], emotions: int) -> Values:
    return np.array([values[labels == label].mean(axis=0) for label in range(emotions)])


def _fit(
    values: Values, labels: NDArray[np.integer[Any]], own: NDArray[np.intp], emotions: int
) -> _Covariances:
    """Estimate voices and covariances in turns."""
    offsets = _means(values, labels, emotions)
    around = np.atleast_2d(np.cov((values - offsets[labels]).T))  # of one coordinate it is a number
    if np.linalg.matrix_rank(around) < len(around):
        raise CorpusError(
            "Most utterances of an emotion are alike: they do not show how voices differ.",
            "Leave out silent clips and copies; or choose --normalisation device.",
        )
    found = _Covariances(0.4 * around, 0.6 * around, offsets)
    counts = np.bincount(own)
    for _ in range(ROUNDS):
        found = _round(values, labels, own, counts, found)
    return found


def _round(
    values: Values,
    labels: NDArray[np.integer[Any]],
    own: NDArray[np.intp],
    counts: NDArray[np.intp],
    last: _Covariances,
) -> _Covariances:
    """Estimate each speaker's voice by the last covariances, and then these by the voices."""
    precision = np.linalg.inv(last.rest)
    prior = np.linalg.inv(last.voices)
    unsure = {count: np.linalg.inv(prior + count * precision) for count in np.unique(counts)}
    rest = values - last.emotions[labels]
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, own, rest)
    voices = np.array(
        [unsure[count] @ (precision @ total) for count, total in zip(counts, sums, strict=True)]
    )
    spread = voices.T @ voices + sum(unsure[count] for count in counts)
    without = values - voices[own]
    offsets = _means(without, labels, len(last.emotions))
    rest = without - offsets[labels]
    noise = rest.T @ rest + sum(count * unsure[count] for count in counts)
    to_voices, to_rest = TOWARDS_DIAGONAL
    return _Covariances(
        _shrunk(spread / len(counts), to_voices), _shrunk(noise / len(values), to_rest), offsets
    )


def _shrunk(covariance: Values, share: float) -> Values:
    """Draw a covariance matrix to its diagonal, and keep it invertible."""
    diagonal = np.diag(np.diag(covariance) + _FLOOR)
    return (1 - share) * covariance + share * diagonal
