"""Fitting how people differ in showing emotions, to labelled speakers."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.features.expression import Expressions, Values

SHRINKAGE: Final = 0.8
"""How far the covariance within emotions is drawn to a multiple of the identity, as for the head of
several corpora: :data:`edge_client.learning.discriminant_head.SHRINKAGE`."""

OWN_AXES: Final = 32
"""Axes along which people differ most, beside those along which emotions do: chosen among 8, 16, 32
and 64 by speakers of RAVDESS and EMO-DB who were left out."""

_COPIES: Final = 1e-9
"""Variance of a person's utterances of an emotion below which they are copies of one sound, as a
share of that of everybody's. Of equal values rounding makes less."""

_LEAST: Final = 1e-3
"""Of the variance of people's own means, as a share of that of their utterances."""


def fit_expressions(
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    speakers: NDArray[np.str_],
    emotions: int,
) -> Expressions | None:
    """Fit to vectors that were normalised by voice models which do not know their speakers.

    Parameters
    ----------
    vectors
        Shape ``(n, features)``.
    labels
        Shape ``(n,)``: which emotion each is; each has some.
    speakers
        Shape ``(n,)``: whose each is.
    emotions
        How many there are.

    Returns
    -------
    Expressions or None
        ``None`` if no speaker has two utterances of an emotion that differ, or all of an emotion
        are alike.
    """
    wide = vectors.astype(np.float64)
    means = np.array([wide[labels == label].mean(axis=0) for label in range(emotions)])
    rest = wide - means[labels]
    covariance = rest.T @ rest / len(rest)
    whole = np.trace(covariance) / len(covariance)
    if not whole > 0:
        return None
    variances, turn = np.linalg.eigh(covariance)
    deviations = np.sqrt((1 - SHRINKAGE) * variances + SHRINKAGE * whole)
    white = turn / deviations
    groups = _groups(labels, speakers)
    if groups is None:
        return None
    halves = [_means_of(rest @ white, groups.of, half, groups.count) for half in groups.halves]
    axes = _axes((means - means.mean(axis=0)) @ white, halves[0])
    points = rest @ white @ axes
    middles = _means_of(points, groups.of, groups.of >= 0, groups.count)
    apart = (points - middles[groups.of])[groups.of >= 0]
    variance = np.square(apart).sum(axis=0) / (len(apart) - groups.count)
    # The axes were chosen by one half, where chance makes people differ along them: so it says
    # nothing, and the other half does. Both vary alike, and by chance apart from each other.
    spread = (halves[0] @ axes * (halves[1] @ axes)).mean(axis=0)
    variance[: emotions - 1] = variance[: emotions - 1].mean()
    if not variance.min() > _COPIES * np.square(points).mean():
        return None
    return Expressions(
        projection=as_kept((white @ axes).T),
        lift=as_kept((turn * deviations @ axes).T),
        emotions=as_kept(means @ white @ axes),
        rest=as_kept(variance),
        spread=as_kept(np.maximum(spread, _LEAST * variance)),
    )


@dataclass(frozen=True)
class _Groups:
    """The utterances of one speaker and one emotion each.

    Attributes
    ----------
    of
        Which group each is in, shape ``(n,)``; below zero where it would be alone.
    count
        How many there are.
    halves
        Which utterances are of the first and of the second half of each, shape ``(n,)``.
    """

    of: NDArray[np.intp]
    count: int
    halves: tuple[NDArray[np.bool_], NDArray[np.bool_]]


def _groups(labels: NDArray[np.integer[Any]], speakers: NDArray[np.str_]) -> _Groups | None:
    """Find groups of two utterances or more; ``None`` if there is none."""
    each = np.unique(speakers, return_inverse=True)[1] * (labels.max() + 1) + labels
    _, place, counts = np.unique(each, return_inverse=True, return_counts=True)
    several = counts > 1
    if not several.any():
        return None
    of = np.where(several, np.cumsum(several) - 1, -1)[place]
    first = np.zeros(len(labels), np.bool_)
    for group in range(several.sum()):
        first[np.flatnonzero(of == group)[::2]] = True
    return _Groups(of, int(several.sum()), (first, (of >= 0) & ~first))


def _means_of(
    values: Values, groups: NDArray[np.intp], some: NDArray[np.bool_], count: int
) -> Values:
    """Give the means of some of the values by their groups, of which each has one."""
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, groups[some], values[some])
    found: Values = sums / np.bincount(groups[some], minlength=count)[:, None]
    return found


def _axes(around: Values, own: Values) -> Values:
    """Give orthonormal axes in columns: those of emotions, then those of people's own means."""
    labels = len(around)
    of_emotions = np.linalg.svd(around, full_matrices=False)[2][: labels - 1].T
    beside = own - own @ of_emotions @ of_emotions.T
    _, sizes, of_people = np.linalg.svd(beside, full_matrices=False)
    some = of_people[:OWN_AXES][sizes[:OWN_AXES] > _LEAST * np.linalg.norm(own, 2)]
    return np.hstack([of_emotions, some.T])


def as_kept(values: Values) -> Values:
    """Round to float32, so that a file keeps them exactly."""
    return values.astype(np.float32).astype(np.float64)
