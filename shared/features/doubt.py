"""How much more a model should doubt its answer to one utterance than to another.

In a Gaussian model, what speaks for one emotion against another is divided by the variance of the
rest. People in another room or language lie further from the model's emotions than those who taught
it. So that variance is larger there, and logits mean less.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.features.statistics import Statistics
from shared.features.voice import VoiceStatistics

LEAST: Final = 0.1
"""The least distance: half of those who taught the model are nearer than 0.6."""

MOST: Final = 1.0
"""The most: how much further away a stranger is says no more of how often answers are right
(docs/results.md)."""

OWN: Final = 0.3
"""How much less is doubted, in nats, where a person's own mean and deviation are believed: who was
heard in many moods is recognised more often."""

STRANGEST: Final = 4.0
"""What a person's strangeness counts at most."""

STRANGE: Final = 0.5
"""How much more is doubted where a person shows emotions in an own way: what was taken for one of
their emotions may be another. Chosen by what RAVDESS teaches of EMO-DB's people and nEMO's."""


def doubts(statistics: Statistics, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tell what to divide the logits of utterances by, besides the temperature.

    Parameters
    ----------
    statistics
        By which the device normalises them.
    features
        Shape ``(n, frames, features)``, not normalised.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``, float32. With a voice model, the mean squared distance to the nearest
        emotion, in standard deviations of voices and rest together, from :data:`LEAST` to
        :data:`MOST`, less by :data:`OWN` where the person is known well, and more by
        :data:`STRANGE` where they show emotions in a way of their own; without one, which says
        nothing of distances, 1.
    """
    if not isinstance(statistics, VoiceStatistics):
        return np.ones(len(features), np.float32)
    model = statistics.model
    apart: NDArray[Any] = model.coordinates(features[:, :1]) - model.emotions
    far = (np.square(apart) / (1 + model.spread)).mean(axis=-1).min(axis=-1)
    far = np.clip(far, LEAST, MOST) * np.exp(-OWN * statistics.belief())
    if statistics.expression:
        far *= 1 + STRANGE * min(statistics.expression.strangeness, STRANGEST)
    return np.asarray(far, np.float32)
