"""From the raw features of labelled clips to examples: normalised as devices do theirs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.features.statistics import Start, no_statistics
from shared.frames import joined
from shared.front_ends import FrontEnd
from shared.training import Examples


def normalised_by_owner(
    raw: Examples,
    owners: NDArray[np.str_],
    front_end: FrontEnd,
    known: NDArray[np.bool_] | None = None,
    begun: Start | None = None,
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
        What each owner's statistics begin with; nothing, if not given.
    """
    features = np.empty_like(raw.features)
    for owner in np.unique(owners):
        own = owners == owner
        statistics = no_statistics(front_end, begun)
        for index in np.flatnonzero(own if known is None else own & known):
            statistics.update(raw.features[index, : raw.frames[index]])
        features[own] = statistics.normalise(raw.features[own], raw.frames[own])
    return Examples(features, raw.frames, raw.labels)


def together(parts: Sequence[Examples]) -> Examples:
    """Join examples, those of the first part first."""
    return Examples(
        joined([part.features for part in parts]),
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
