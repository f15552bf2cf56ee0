"""From the raw features of labelled clips to examples: normalised as devices do theirs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.features.doubt import doubts
from shared.features.expression import MOST
from shared.features.statistics import Start, no_statistics, remembering
from shared.features.voice import VoiceModel
from shared.frames import joined
from shared.front_ends import FrontEnd
from shared.training import Examples


def normalised_by_owner(
    raw: Examples,
    owners: NDArray[np.str_],
    front_end: FrontEnd,
    known: NDArray[np.bool_] | None = None,
    begun: Start | None = None,
    *,
    recognised: bool = False,
) -> Examples:
    """Normalise utterances by the statistics of those that the same device has heard.

    A device's statistics are those of all the utterances of its user, labelled or not.
    What is given stays as it is.

    Parameters
    ----------
    raw
        Features as they were computed.
    owners
        Whose device heard each, shape ``(n,)``.
    front_end
        What computed them.
    known
        Which of them count in the statistics, shape ``(n,)``; all, if not given.
    begun
        What each owner's statistics begin with; nothing, if not given. With a voice model the
        examples say how much to doubt answers to them.
    recognised
        Whether as a device does where it recognises, which also infers how the person shows
        emotions; what it trains on is not normalised by that.
    """
    features, doubted = np.empty_like(raw.features), np.ones(len(raw), np.float32)
    for owner in np.unique(owners):
        own = owners == owner
        statistics = no_statistics(front_end, begun)
        heard = np.flatnonzero(own if known is None else own & known)
        for index in heard:
            statistics.update(raw.features[index, : raw.frames[index]])
        if recognised:
            # Corpora lie by emotions: the last of many clips would be of one or two.
            some = heard[np.linspace(0, len(heard) - 1, min(len(heard), MOST)).astype(np.intp)]
            statistics = remembering(statistics, raw.features[some])
        features[own] = statistics.normalise(raw.features[own], raw.frames[own])
        doubted[own] = doubts(statistics, raw.features[own])
    by_voice = isinstance(begun, VoiceModel)
    return Examples(features, raw.frames, raw.labels, doubts=doubted if by_voice else None)


def together(parts: Sequence[Examples]) -> Examples:
    """Join examples, those of the first part first."""
    doubted = [part.doubts for part in parts if part.doubts is not None]
    return Examples(
        joined([part.features for part in parts]),
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.labels for part in parts]),
        doubts=np.concatenate(doubted) if len(doubted) == len(parts) else None,
    )
