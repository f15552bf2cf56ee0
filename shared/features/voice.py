"""Telling a person's voice, and the room they speak in, from the mood they are in.

An encoder's vector holds who speaks, where, and how. Taking off the mean of what a device has heard
takes the mood off with the voice where the mood is constant. So both are inferred together, by a
Gaussian model with an offset for each emotion and one for each voice, as in probabilistic linear
discriminant analysis (Ioffe, 2006; Prince & Elder, 2007):

    z = emotion + voice + rest,    voice ~ N(0, spread),    rest ~ N(0, I)

Coordinates z are chosen so that ``spread`` is diagonal. People who were not heard when the model
was made, and those of another language still more, show less of their emotions than its speakers
do: their emotions are a share of the model's, which is inferred, too
(:mod:`shared.features.moods`). For that no utterance is kept, and no label needed.

Where many emotions were heard alike, the plain mean and deviation of what was heard are a better
account of a voice than any model. How much they are believed follows from how even the emotions
seem, or were said to be, how far apart the utterances are in what emotions change, and how many
there are. Where they are not believed, what an utterance seems to be, in the light of all others,
is added to its vector: a head hears the model's opinion.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.features.expression import Expression, Expressions
from shared.features.moods import BEAM, EXPRESSED, Counts, HeardMoods, Values
from shared.features.normalisation import MOST

CLIP: Final = 6.0
"""Normalised values are kept within plus and minus this many standard deviations."""

OPINION: Final = 0.4
"""How much of the emotion that an utterance seems to have is added to its vector."""

FLOOR: Final = 1e-4
"""Least deviation divided by, in standard deviations of all speakers."""

NEVER: Final = (-30.0, 0.0, 0.0, 0.0)
"""A belief in nobody's own mean and deviation."""


@dataclass(frozen=True)
class VoiceModel:
    """What voices and emotions do to an encoder's vectors: fitted once, to labelled speakers.

    Attributes
    ----------
    mean, scale
        Of the vectors, shape ``(features,)``.
    projection
        Turns a standardised vector into coordinates, shape ``(coordinates, features)``.
    lift
        Turns coordinates back, shape ``(features, coordinates)``.
    spread
        Variance of voices in each coordinate, shape ``(coordinates,)``; the rest has variance 1.
    emotions
        Offset of each emotion, shape ``(labels, coordinates)``.
    belief
        How much a speaker's own mean and deviation are believed, shape ``(4,)``: a bias, and the
        weights of what :meth:`VoiceStatistics.signs` gives, in a logistic function.
    expressions
        How people differ in showing emotions, if that was fitted.
    """

    mean: Values
    scale: Values
    projection: Values
    lift: Values
    spread: Values
    emotions: Values
    belief: Values
    expressions: Expressions | None = None

    @cached_property
    def axes(self) -> Values:
        """Orthonormal directions in which emotions differ, ``(labels - 1, coordinates)``."""
        found: Values = np.linalg.svd(self.around, full_matrices=False)[2]
        return found[: len(self.emotions) - 1]

    @cached_property
    def around(self) -> Values:
        """Offset of each emotion from the mean of all, shape ``(labels, coordinates)``."""
        found: Values = self.emotions - self.emotions.mean(axis=0)
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of its values: states of another model are told by it."""
        found = hashlib.sha256()
        for part in fields(self):
            if (values := getattr(self, part.name)) is not None:
                found.update(values.tobytes())
        return found.hexdigest()

    def coordinates(self, vectors: NDArray[Any]) -> Values:
        """Give the coordinates of vectors, shape ``(..., features)`` to ``(..., coordinates)``."""
        found: Values = self.standardised(vectors) @ self.projection.T
        return found

    def standardised(self, vectors: NDArray[Any]) -> Values:
        """Take the mean of all speakers off vectors, and divide by their scale; same shape."""
        found: Values = (vectors - self.mean) / self.scale
        return found


class VoiceStatistics:
    """What a device knows of the voice that it hears.

    Parameters
    ----------
    model
        Fitted beforehand; all devices of a federation have the same.

    Attributes
    ----------
    moods
        In which moods its person may have been heard, and with which voice.
    sums, squares
        Sum of their standardised vectors, and of the squares of these, shape ``(features,)``.
    apart
        Sum of their squared coordinates along the model's axes.
    told
        How often each emotion was heard by what the person said of some of the utterances, shape
        ``(labels,)``; see :func:`shared.features.statistics.knowing`. It is not in the state.
    expression
        How the person shows emotions, if that was inferred; see
        :func:`shared.features.statistics.showing`. It is not in the state.
    """

    def __init__(self, model: VoiceModel) -> None:
        self.model = model
        self.moods = HeardMoods.none(model.emotions, model.spread)
        self.sums: Values = np.zeros(len(model.mean))
        self.squares: Values = np.zeros(len(model.mean))
        self.apart = 0.0
        self.told: Counts = np.zeros(len(model.emotions), np.int64)
        self.expression: Expression | None = None

    @property
    def count(self) -> int:
        """Utterances heard."""
        return self.moods.count

    def update(self, frames: NDArray[np.float32]) -> None:
        """Take in utterances, one a row.

        Parameters
        ----------
        frames
            Shape ``(n, features)``, n may be zero.

        Raises
        ------
        ValueError
            If the shape is another, or a value is not finite: nothing is then taken in.
        """
        if frames.shape[1:] != self.model.mean.shape:
            wanted = len(self.model.mean)
            raise ValueError(f"frames should have shape (n, {wanted}), not {frames.shape}")
        if not np.isfinite(frames).all():
            raise ValueError("frames should be finite")
        for standardised in self.model.standardised(frames):
            coordinates = self.model.projection @ standardised
            self.moods = self.moods.hearing(coordinates)
            self.sums = self.sums + standardised
            self.squares = self.squares + np.square(standardised)
            self.apart += float(np.square(self.model.axes @ coordinates).sum())

    def signs(self) -> Values:
        """Give what tells whether many emotions were heard alike, shape ``(3,)``.

        How even the emotions' shares are (their entropy, 1 at most); the logarithm of one more than
        the variance along the model's axes; the logarithm of the count. What the person said of
        some utterances counts as it was said; of the others what is inferred of all.
        """
        if not self.count:
            return np.zeros(3)
        others = max(self.count - self.told.sum(), 0) / self.count
        shares = self.told + others * self.moods.shares()
        shares = np.maximum(shares / shares.sum(), np.finfo(float).tiny)
        even = -(shares * np.log(shares)).sum() / np.log(len(shares))
        middle = self.model.axes @ self.moods.total / self.count
        apart = self.apart / self.count - np.square(middle).sum()
        return np.array([even, np.log1p(max(apart, 0.0)), np.log(self.count)])

    def belief(self) -> float:
        """Tell how much the mean and deviation of what was heard are believed, from 0 to 1."""
        if self.count < 2:  # noqa: PLR2004 -- one utterance deviates from nothing
            return 0.0
        bias, *weights = self.model.belief
        return float(1 / (1 + np.exp(-np.clip(bias + self.signs() @ weights, -60, 60))))

    def normalise(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.integer[Any]] | int,  # noqa: ARG002 -- as RunningStatistics are asked
    ) -> NDArray[np.float32]:
        """Take the voice off vectors, and standardise them as the model's speakers were.

        Parameters
        ----------
        features
            Shape ``(..., 1, features)``, float32; left as it is.
        frames
            One for each: a vector is not padded.

        Returns
        -------
        numpy.ndarray
            Same shape, float32; within ±:data:`CLIP`, but for what an utterance seems to be.
        """
        scaled = self.model.standardised(features)
        inferred, lift = self.without_voice(scaled), self.model.lift
        if self.count:
            opinion = self.moods.opinion(scaled @ self.model.projection.T)
            inferred = inferred + OPINION * opinion @ self.model.around @ lift.T
        belief = self.belief()
        if belief:
            mean = self.sums / self.count
            deviation = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0))
            inferred = (1 - belief) * inferred + belief * within(scaled, mean, deviation)
        if self.expression:
            inferred = self.expression.without(inferred)
        return inferred.astype(np.float32)

    def without_voice(self, standardised: Values) -> Values:
        """Take the voice that was inferred off standardised vectors; same shape, clipped."""
        found: Values = np.clip(standardised - self.model.lift @ self.moods.voice(), -CLIP, CLIP)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the state as numbers and lists, for JSON; :meth:`from_dict` restores it exactly."""
        return {
            "model": self.model.digest,
            "count": self.count,
            "total": self.moods.total.tolist(),
            "sums": self.sums.tolist(),
            "squares": self.squares.tolist(),
            "apart": self.apart,
            "counts": self.moods.counts.tolist(),
            "expressed": self.moods.expressed.tolist(),
            "evidence": self.moods.evidence.tolist(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], model: VoiceModel) -> Self:
        """Restore what :meth:`to_dict` gave.

        Raises
        ------
        ValueError
            If it is not such a state, or of another model: a part missing, of another shape or not
            finite, or counts that are not of as many utterances.
        """
        found = cls(model)
        try:
            same = state["model"] == model.digest
            found.sums, found.squares = (
                np.array(state[part], np.float64) for part in ("sums", "squares")
            )
            found.apart = float(state["apart"])
            moods = found.moods = replace(
                found.moods,
                count=int(state["count"]),
                total=np.array(state["total"], np.float64),
                counts=np.array(state["counts"], np.int64),
                expressed=np.array(state["expressed"], np.int64),
                evidence=np.array(state["evidence"], np.float64),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError("this is not the state of a voice") from error
        if not same:
            raise ValueError("this is the state of a voice of another model")
        labels = len(model.emotions)
        rows = len(moods.evidence) if moods.evidence.ndim == 1 else 0
        parts = (moods.total, found.sums, found.squares, moods.counts, moods.expressed)
        wanted = [model.spread.shape, *[model.mean.shape] * 2, (rows, labels), (rows,)]
        if [part.shape for part in parts] != wanted:
            raise ValueError("the parts of the state of a voice should belong together")
        numbers = (moods.total, found.sums, found.squares, moods.evidence, found.apart)
        # So put, NaN is too large as well.
        within = all((np.abs(part) <= MOST * max(1, found.count)).all() for part in numbers)
        if not 1 <= rows <= BEAM or not within:
            raise ValueError("the state of a voice should be finite, and not too large")
        if min(found.squares.min(), found.apart) < 0:
            raise ValueError("squares in the state of a voice should not be negative")
        if (moods.counts < 0).any() or (moods.counts.sum(axis=1) != found.count).any():
            raise ValueError("the counts in the state of a voice should add up")
        if not np.isin(moods.expressed, np.arange(len(EXPRESSED))).all():
            raise ValueError("the state of a voice should say how much of emotions is shown")
        return found


def within(standardised: Values, mean: Values, deviation: Values) -> Values:
    """Normalise standardised vectors by a mean and a deviation; same shape, clipped."""
    found: Values = np.clip((standardised - mean) / np.maximum(deviation, FLOOR), -CLIP, CLIP)
    return found
