"""How a person shows each emotion: told from what they have said, without a label.

People differ in more than their voice: one whispers in anger, another shouts. With the voice taken
off, the vectors of an emotion lie around a middle of their own for each person. It is inferred from
the person's utterances by expectation-maximisation in a mixture of Gaussians, whose means have a
prior (maximum a posteriori; Gauvain & Lee, *Maximum a posteriori estimation for multivariate
Gaussian mixture observations of Markov chains*, 1994). What an utterance has of the person's own
is then taken off its vector, so that a head hears how everybody shows it.
"""

from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.metrics import softmax

FEWEST: Final = 16
"""Utterances that tell anything: with fewer, strangers of another language lost by it."""

MOST: Final = 256
"""Newest utterances that it is told from: they are looked at anew for each answer."""

EVEN: Final = 20.0
"""How often each emotion counts as heard beforehand: more than most people's days tell."""

BELIEVED: Final = 16
"""After so many utterances, what was inferred is half believed: early on, what utterances seem to
be is often wrong, and they would show it to each other."""

DULLED: Final = 0.5
"""What the log likelihood of an utterance counts: strangers vary more than who taught the model."""

_ROUNDS: Final = 8

Values = NDArray[np.float64]


class Kept(NamedTuple):
    """What is kept of what a person has said, the newest last."""

    features: NDArray[np.float32]
    """Not normalised, shape ``(n, 1, features)``."""
    said: NDArray[np.int32]
    """Which label the person gave each, shape ``(n,)``; below zero where none was given."""


@dataclass(frozen=True)
class Expressions:
    """How people differ in showing emotions: fitted once, to labelled speakers.

    All of it is of vectors that were normalised by a voice model.

    Attributes
    ----------
    projection
        Turns a vector into coordinates, shape ``(coordinates, features)``.
    lift
        Turns coordinates back, shape ``(coordinates, features)``.
    emotions
        Mean of each emotion, shape ``(labels, coordinates)``.
    rest
        Variance of the utterances of an emotion, shape ``(coordinates,)``.
    spread
        Variance of people's own means of an emotion, shape ``(coordinates,)``.
    """

    projection: Values
    lift: Values
    emotions: Values
    rest: Values
    spread: Values

    def tobytes(self) -> bytes:
        """Give its values, for a digest."""
        return b"".join(getattr(self, part.name).tobytes() for part in fields(self))

    def infer(
        self, vectors: NDArray[np.float32], said: NDArray[np.integer[Any]] | None = None
    ) -> "Expression":
        """Infer how a person shows emotions.

        Parameters
        ----------
        vectors
            Of what they have said, normalised, shape ``(n, features)``.
        said
            Which emotion the person said that each is, shape ``(n,)``; below zero where they said
            nothing, as everywhere if this is not given.
        """
        points = vectors @ self.projection.T
        given = np.full(len(points), -1) if said is None else said
        told, truth = given >= 0, np.eye(len(self.emotions))[np.maximum(given, 0)]
        means, shares = self.emotions, np.full(len(self.emotions), 1 / len(self.emotions))
        for _ in range(_ROUNDS):
            seems = softmax(_likelihoods(points, means, self.rest) + np.log(shares))
            seems = np.where(told[:, None], truth, seems)
            heard = seems.sum(axis=0)
            shares = (heard + EVEN) / (heard + EVEN).sum()
            away = seems.T @ points - heard[:, None] * self.emotions
            means = self.emotions + away / (heard[:, None] + self.rest / self.spread)
        belief = len(points) / (len(points) + BELIEVED)
        return Expression(self, self.emotions + belief * (means - self.emotions))


@dataclass(frozen=True)
class Expression:
    """How one person shows emotions.

    Attributes
    ----------
    people
        How people differ.
    means
        The person's mean of each emotion, shape ``(labels, coordinates)``.
    """

    people: Expressions
    means: Values

    @property
    def strangeness(self) -> float:
        """How far the means lie from everybody's: mean square, in deviations of people."""
        away = np.square(self.means - self.people.emotions) / self.people.spread
        return float(away.mean())

    def without(self, vectors: NDArray[Any]) -> Values:
        """Take off normalised vectors what is this person's own; shape ``(..., features)``."""
        people = self.people
        points = vectors @ people.projection.T
        seems = softmax(_likelihoods(points, self.means, people.rest))
        found: Values = vectors - seems @ (self.means - people.emotions) @ people.lift
        return found


def _likelihoods(points: Values, means: Values, variance: Values) -> Values:
    """Give log likelihoods but for a constant: ``(..., d)`` and ``(k, d)`` to ``(..., k)``."""
    apart = np.square(points[..., None, :] - means) / variance
    found: Values = -DULLED / 2 * apart.sum(axis=-1)
    return found
