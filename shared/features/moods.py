"""In which moods a person was heard, how often in each, and with which voice: inferred together.

The model is that of :mod:`shared.features.voice`. Given how often each emotion was heard, and which
share of it the person shows, the voice is Gaussian, and depends on the utterances through their sum
alone. So the posterior is one over *counts* of emotions and shares: the sum of the utterances'
coordinates is kept, and the likeliest of these with their probabilities.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

CONCENTRATIONS: Final = (0.2, 5.0)
"""People are in few moods, or in many alike: two Dirichlet priors of the emotions' shares."""

BEAM: Final = 128
"""Counts of emotions that are followed; the others have next to no probability."""

EXPRESSED: Final = (0.5, 0.7, 1.0)
"""How much of the model's emotions a person shows: each is followed, and as likely at first."""

_SHOWN: Final = np.array(EXPRESSED)

_TELLING: Final = np.random.default_rng(0).integers(1, 1 << 62, 64)

Values = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeardMoods:
    """In which moods a person may have been heard, and what each possibility says of the voice.

    Attributes
    ----------
    emotions
        Offset of each emotion, shape ``(labels, coordinates)``.
    spread
        Variance of voices in each coordinate, shape ``(coordinates,)``.
    count
        Utterances heard.
    total
        Sum of their coordinates, shape ``(coordinates,)``.
    counts
        How often each emotion may have been heard, shape ``(n, labels)``.
    expressed
        With which of :data:`EXPRESSED`, as places in it, shape ``(n,)``.
    evidence
        Log likelihood of each of these, the largest being zero, shape ``(n,)``.
    """

    emotions: Values
    spread: Values
    count: int
    total: Values
    counts: Counts
    expressed: Counts
    evidence: Values

    @classmethod
    def none(cls, emotions: Values, spread: Values) -> Self:
        """Begin, having heard nothing."""
        labels, ways = len(emotions), len(EXPRESSED)
        nothing = np.zeros(len(spread)), np.zeros((ways, labels), np.int64)
        return cls(emotions, spread, 0, *nothing, np.arange(ways), np.zeros(ways))

    def hearing(self, heard: Values) -> Self:
        """Give what follows with one utterance more: each of the counts has one emotion more.

        Parameters
        ----------
        heard
            Its coordinates, shape ``(coordinates,)``.

        Returns
        -------
        HeardMoods
            Another object: this one stays as it is.
        """
        labels = len(self.emotions)
        voices, variance = self._voices()
        unit = 1 / np.sqrt(1 + variance)
        rest, offsets = (heard - voices) * unit, self.emotions * unit
        shown = _SHOWN[self.expressed][:, None]
        far = (rest**2).sum(axis=1)[:, None] - 2 * shown * (rest @ offsets.T)
        far += shown**2 * (offsets**2).sum(axis=1)
        evidence = (self.evidence[:, None] - far / 2).ravel()
        # Sums of random numbers tell counts apart, ten times as fast as the counts' order does.
        keys = self.counts @ _TELLING[:labels] + self.expressed * _TELLING[labels]
        keys = (keys[:, None] + _TELLING[:labels]).ravel()
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        merged = np.logaddexp.reduceat(evidence[order], begins)
        before, emotion = np.divmod(order[begins], labels)
        counts = self.counts[before]
        counts[np.arange(len(counts)), emotion] += 1
        best = np.argsort(-(merged + log_prior(counts)), kind="stable")[:BEAM]
        return replace(
            self,
            count=self.count + 1,
            total=self.total + heard,
            counts=counts[best],
            expressed=self.expressed[before[best]],
            evidence=merged[best] - merged[best].max(),
        )

    def _voices(self) -> tuple[Values, Values]:
        """Estimate the voice for each of the counts, and its variance in each coordinate."""
        variance = 1 / (1 / self.spread + self.count)
        shown = _SHOWN[self.expressed][:, None]
        return (self.total - shown * (self.counts @ self.emotions)) * variance, variance

    @cached_property
    def weights(self) -> Values:
        """The probability of each of the counts, shape ``(n,)``."""
        weight = self.evidence + log_prior(self.counts)
        weight = np.exp(weight - weight.max())
        found: Values = weight / weight.sum()
        return found

    def shares(self) -> Values:
        """Estimate how often each emotion was heard, shape ``(labels,)``."""
        found: Values = self.weights @ self.counts
        return found

    def voice(self) -> Values:
        """Estimate the voice, shape ``(coordinates,)``; zero before any utterance."""
        found: Values = self.weights @ self._voices()[0]
        return found

    def opinion(self, heard: Values) -> Values:
        """Tell what utterances seem to be, in the light of all that was heard.

        Parameters
        ----------
        heard
            Their coordinates, shape ``(..., coordinates)``.

        Returns
        -------
        numpy.ndarray
            Probabilities, shape ``(..., labels)``.
        """
        voices, variance = self._voices()
        offsets = self.emotions / (1 + variance)
        shown = _SHOWN[self.expressed][:, None]
        along = (heard @ offsets.T)[..., None, :]
        before = np.log(self.counts + CONCENTRATIONS[0])
        before -= shown**2 * np.square(self.emotions / np.sqrt(1 + variance)).sum(axis=1) / 2
        likely: Values = shown * (along - voices @ offsets.T) + before
        likely = np.exp(likely - likely.max(axis=-1, keepdims=True))
        likely /= likely.sum(axis=-1, keepdims=True)
        found: Values = np.einsum("n,...nk->...k", self.weights, likely)
        return found


def log_prior(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the log probability of utterances with such counts of emotions, in any one order.

    The mean of two Dirichlet-multinomial distributions, of concentrations
    :data:`CONCENTRATIONS`.

    Parameters
    ----------
    counts
        Shape ``(n, labels)``.
    """
    labels, total = counts.shape[1], counts.sum(axis=1)
    bits = int(total.max(initial=0)).bit_length()
    each = [
        _log_rising(own, bits)[counts].sum(axis=1) - _log_rising(labels * own, bits)[total]
        for own in CONCENTRATIONS
    ]
    found: NDArray[np.float64] = np.logaddexp.reduce(each) - np.log(len(each))
    return found


@cache
def _log_rising(start: float, bits: int) -> NDArray[np.float64]:
    """Give log(start (start + 1) ...), of 0 to 2 ** ``bits`` factors."""
    return np.concatenate([[0], np.cumsum(np.log(start + np.arange(2**bits)))])
