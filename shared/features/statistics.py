"""What a device keeps of all that it has heard: running statistics, or a voice's."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.features.expression import FEWEST, MOST, Expression
from shared.features.normalisation import RunningStatistics
from shared.features.prior import Prior
from shared.features.voice import VoiceModel, VoiceStatistics
from shared.front_ends import FrontEnd

Statistics = RunningStatistics | VoiceStatistics
"""Both take in what was heard, and normalise features by it."""

Kind = TypeVar("Kind", bound=Statistics)
"""One of them."""

_BLOCK: Final = 32
"""Utterances that are normalised at once: with all of them a device takes 9 MB more."""

Start = VoiceModel | Prior
"""What statistics may begin with."""


def no_statistics(front_end: FrontEnd, begun: Start | None) -> Statistics:
    """Begin, having heard nothing.

    Parameters
    ----------
    front_end
        What computes the features.
    begun
        With what: a voice model tells voices from moods; a prior, or nothing, is for means and
        standard deviations.
    """
    if isinstance(begun, VoiceModel):
        return VoiceStatistics(begun)
    return RunningStatistics(front_end, begun)


def knowing(statistics: Kind, labels: NDArray[np.int32]) -> Kind:
    """Give statistics that know what a person said of some of the utterances in them.

    Parameters
    ----------
    statistics
        They stay as they are.
    labels
        Those that the person gave, one for each such utterance, shape ``(n,)``.

    Returns
    -------
    RunningStatistics or VoiceStatistics
        Those of a voice believe a person's own mean more where the moods were said to be even;
        others are the same.
    """
    if not isinstance(statistics, VoiceStatistics):
        return statistics
    known = copy(statistics)
    known.told = np.bincount(labels, minlength=len(known.told))
    return known


def expression_of(
    statistics: Statistics,
    features: NDArray[np.float32],
    said: NDArray[np.integer[Any]] | None = None,
) -> Expression | None:
    """Infer how a person shows emotions, by what is kept of their utterances.

    Parameters
    ----------
    statistics
        What normalises them; they may be :func:`knowing`.
    features
        Of the person's utterances, not normalised, the newest last, shape ``(n, 1, features)``;
        :data:`shared.features.expression.MOST` of them count.
    said
        Which label the person gave each, shape ``(n,)``; below zero where none was given.

    Returns
    -------
    Expression or None
        ``None`` if there are too few, or nothing tells how people differ.
    """
    if not isinstance(statistics, VoiceStatistics) or len(features) < FEWEST:
        return None
    if (people := statistics.model.expressions) is None:
        return None
    plain, newest = showing(statistics, None), features[-MOST:]
    blocks = (newest[start : start + _BLOCK] for start in range(0, len(newest), _BLOCK))
    vectors = np.concatenate([plain.normalise(block, 1)[:, 0] for block in blocks])
    return people.infer(vectors, None if said is None else said[-MOST:])


def showing(statistics: Kind, expression: Expression | None) -> Kind:
    """Give statistics that take off what is a person's own; they stay as they are."""
    if not isinstance(statistics, VoiceStatistics) or statistics.expression is expression:
        return statistics
    found = copy(statistics)
    found.expression = expression
    return found


def remembering(
    statistics: Kind,
    features: NDArray[np.float32],
    said: NDArray[np.integer[Any]] | None = None,
) -> Kind:
    """Give statistics that are :func:`showing` what :func:`expression_of` infers by them."""
    return showing(statistics, expression_of(statistics, features, said))


def is_same(one: Start | None, other: Start | None) -> bool:
    """Say whether statistics begin alike with both."""
    return _digest(one) == _digest(other)


def restored(state: Mapping[str, Any], front_end: FrontEnd, begun: Start | None) -> Statistics:
    """Go on from what ``to_dict`` gave.

    A state of an earlier version does not say which prior it began with: it is taken as one that
    began with none.

    Raises
    ------
    ValueError
        If the state is damaged, or began with something else.
    """
    if is_of_another(state, begun):
        raise ValueError("these statistics began with something else")
    if isinstance(begun, VoiceModel):
        return VoiceStatistics.from_dict(state, begun)
    return RunningStatistics.from_dict(state, front_end)


def is_of_another(state: Mapping[str, Any], begun: Start | None) -> bool:
    """Say whether a state began with something else, so is not damaged if it is not restored."""
    return bool((state.get("model") or state.get("prior")) != _digest(begun))


def _digest(begun: Start | None) -> str | None:
    """Name what statistics begin with by its values; ``None`` for nothing."""
    return begun.digest if begun else None
