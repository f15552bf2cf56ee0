"""When a person's own mean and deviation say more of a voice than what was inferred of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.features.moods import Values
from shared.features.voice import NEVER, VoiceModel, VoiceStatistics, within
from shared.randomness import stream

HEARD: Final = (2, 4, 8, 16, 32, 64)
"""How much a device may have heard of its person, in trials."""

TRIALS: Final = 24
"""Devices that are tried for each speaker, at most."""

ALL_TRIALS: Final = 400
"""Devices that are tried in all, about: four weights need no more."""

SHOWN_IN_TRIALS: Final = (0.3, 1.0)
"""How much of their emotions speakers show in trials: people of another language and room show
less of what a corpus teaches than its own speakers do."""

_MOST: Final = 0.3
"""A difference of errors that counts no more than a larger one."""

_RIDGE: Final = 1e-2
_STEPS: Final = 30


@dataclass(frozen=True)
class Speaker:
    """A speaker on whom a voice model was not fitted.

    Attributes
    ----------
    model
        Fitted to others.
    vectors
        Shape ``(n, features)``.
    labels
        Shape ``(n,)``.
    """

    model: VoiceModel
    vectors: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]


def fit_belief(speakers: Sequence[Speaker]) -> Values:
    """Fit when to believe a person's own mean and deviation, by devices that heard some moods.

    Each device heard some of a speaker's labels, of some of them more. Known labels tell by what
    the speaker's vectors should be normalised: so it is seen which is closer to it, what was
    inferred or what is plainly the mean and deviation. A logistic regression, weighted by how much
    it matters, learns to tell this from what a device knows without labels.

    Returns
    -------
    numpy.ndarray
        As in :class:`shared.features.voice.VoiceModel`, shape ``(4,)``;
        :data:`shared.features.voice.NEVER` if there are no speakers.
    """
    if not speakers:
        return np.array(NEVER)
    trials = max(min(TRIALS, ALL_TRIALS // len(speakers)), 1)
    rows = [row for number, own in enumerate(speakers) for row in _trials(own, number, trials)]
    signs = np.array([row[0] for row in rows])
    gains = np.array([row[1] for row in rows])
    return _logistic(signs, gains > 0, np.minimum(np.abs(gains), _MOST))


def _trials(speaker: Speaker, number: int, trials: int) -> Iterator[tuple[Values, float]]:
    """Give the signs that each of a speaker's devices sees, and what believing would gain."""
    rng = stream(0, "voice belief", number)
    model, labels = speaker.model, speaker.labels
    for _ in range(trials):
        shown = _showing(rng.uniform(*SHOWN_IN_TRIALS), speaker.vectors, labels)
        vectors = model.standardised(shown)
        truth = within(vectors, *_balanced(vectors, labels))
        moods = np.unique(labels)
        moods = rng.choice(moods, rng.integers(1, len(moods) + 1), replace=False)
        shares = rng.dirichlet(np.full(len(moods), 2.0))
        drawn = rng.choice(moods, rng.choice(HEARD), p=shares)
        heard = np.array([rng.choice(np.flatnonzero(labels == mood)) for mood in drawn])
        statistics = VoiceStatistics(model)
        statistics.update(shown[heard])
        inferred = statistics.without_voice(vectors)
        own = within(vectors, vectors[heard].mean(axis=0), vectors[heard].std(axis=0))
        gain = np.square(truth - inferred).mean() - np.square(truth - own).mean()
        yield statistics.signs(), float(gain)


def _showing(
    share: float, vectors: NDArray[np.float32], labels: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Let a speaker show a share of their emotions: draw the mean of each to that of all."""
    found = vectors.copy()
    moods = np.unique(labels)
    means = {mood: vectors[labels == mood].mean(axis=0) for mood in moods}
    middle = np.mean([*means.values()], axis=0)
    for mood, mean in means.items():
        found[labels == mood] -= np.float32(1 - share) * (mean - middle)
    return found


def _balanced(vectors: Values, labels: NDArray[np.integer[Any]]) -> tuple[Values, Values]:
    """Give mean and deviation of vectors, as if each label had as many."""
    each = [vectors[labels == label] for label in np.unique(labels)]
    mean = np.mean([own.mean(axis=0) for own in each], axis=0)
    variance = np.mean([np.square(own - mean).mean(axis=0) for own in each], axis=0)
    return mean, np.sqrt(variance)


def _logistic(inputs: Values, targets: NDArray[np.bool_], weights: Values) -> Values:
    """Fit a bias and weights by Newton's method, drawn a little to zero."""
    wide = np.hstack([np.ones((len(inputs), 1)), inputs])
    weights = weights / weights.mean()
    found = np.zeros(wide.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(wide @ found, -60, 60)))
        slope = wide.T @ (weights * (chance - targets)) + _RIDGE * found
        bend = (wide * (weights * chance * (1 - chance))[:, None]).T @ wide
        found = found - np.linalg.solve(bend + _RIDGE * np.eye(len(found)), slope)
    return found
