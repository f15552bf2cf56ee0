"""A personal model: the global one's answers, corrected by likeness to its user's own examples.

With a handful of examples, whatever has few parameters wins. So no weight of the network is
changed. The global logits are the mean of a Gaussian process over utterances (Rasmussen &
Williams, *Gaussian Processes for Machine Learning*, 2006, chapter 3), whose kernel says how alike
two utterances of one person sound: far from all examples the global model decides alone, near one
its label has a say. How much the global model is trusted and how much an example weighs is
averaged over a grid, each value weighted by how well it predicts examples held out (pseudo-BMA;
Yao et al., *Using stacking to average Bayesian predictive distributions*, 2018). That the user
happened to label more of one label than of another is taken out as in logit adjustment (Menon et
al., *Long-tail learning via logit adjustment*, 2021).

Fitting a few examples takes an instant and needs nothing but them and the global model's logits of
them. So it is done anew after each correction and for each new global model, and nothing is stored
but the examples. It works with every architecture, engine, front end and number of labels.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import TrainingError
from shared.metrics import softmax
from shared.training import Examples

LENGTH: Final = 0.2
"""Length scale of the kernel: utterances whose mean features differ by this many standard
deviations (root mean square over the features) still sound alike."""

LENGTH_OF_VECTORS: Final = 0.7
"""The same where an utterance is one vector, normalised among utterances instead of frames: two of
one person differ by 1.3 there, and with the other scale no example would count. Chosen with
:data:`GAINS_OF_VECTORS`."""

TRUSTS: Final = (0.1, 0.2, 0.4, 0.8)
"""Factors on the global logits: networks are surer of themselves than they are right."""

AROUND: Final = (0.25, 0.5, 1.0, 2.0)
"""The same where the global model's temperature was measured: factors on the logits divided by it.
A head of an encoder's vectors is about as sure as it should be, and :data:`TRUSTS` would make it
less sure than that. Chosen by the calibration error on actors 1 to 12 of RAVDESS."""

DOUBT: Final = 0.5
"""How far a person's trust may lie from what the global model's temperature says: the standard
deviation of its logarithm before there are examples. Chosen among 0.3, 0.4 and 0.5 on validation
actors of RAVDESS, and on all of RAVDESS with a head that EMO-DB taught."""

GAINS: Final = (1.0, 3.0, 10.0, 30.0)
"""Variances of the correction, in nats squared: the least hardly touches a global model that is
sure."""

GAINS_OF_VECTORS: Final = (1.0, 10.0, 100.0, 1000.0)
"""The same where an utterance is one vector. The largest let examples overrule a global model that
is sure and wrong, as one of another language may be. Chosen with :data:`LENGTH_OF_VECTORS` on
actors 1 to 12 of RAVDESS (``docs/personalisation.md``)."""

MOST: Final = 128
"""Newest examples that are used: more would keep a small device busy for seconds."""

_FOLDS: Final = 16
"""Parts of the examples that are held out in turn; up to so many are held out one by one."""

_STEPS: Final = 30
"""Steps of the solver. After these no probability changes by a hundredth with :data:`GAINS`. With
the largest of :data:`GAINS_OF_VECTORS` it stops early: 200 steps recognised no more."""

_HALF_A_COUNT: Final = 0.5
"""Jeffreys' prior: added to how often each label was given."""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class PersonalModel:
    """The global model as one user has corrected it; see :meth:`fit`.

    Attributes
    ----------
    voices
        What the user's examples sound like, shape ``(n, features)``, float64.
    trusts
        Factor on the global logits of each of k candidates, shape ``(k,)``.
    corrections
        What each example adds to the logits of what sounds like it, shape ``(k, n, labels)``.
    weights
        How much each candidate counts, shape ``(k,)``; they sum to 1.
    length
        Length scale of the kernel.
    told
        Labels that statistics should know when they normalise what is recognised, shape ``(m,)``,
        int32: see :func:`shared.features.statistics.knowing`.
    """

    voices: _Array
    trusts: _Array
    corrections: _Array
    weights: _Array
    length: float
    told: NDArray[np.int32]

    @classmethod
    def fit(
        cls,
        examples: Examples,
        logits: NDArray[np.float32],
        temperature: float | None = None,
        told: NDArray[np.int32] | None = None,
    ) -> "PersonalModel":
        """Learn from what a user has confirmed and corrected.

        Parameters
        ----------
        examples
            The user's own, oldest first, normalised by the device's statistics as they are now;
            there may be none, and the personal model is then the global one.
        logits
            The global model's for them, shape ``(n, labels)``.
        temperature
            That of the global model, if it was measured. How sure the global model may be is then
            known before the first example, and the examples only change it.
        told
            The labels that the statistics knew; none, if not given.

        Raises
        ------
        TrainingError
            If there are examples that no model could be trained on.
        ValueError
            If there are not as many logits as examples, or none for a label.
        """
        if logits.ndim != 2 or len(logits) != len(examples):  # noqa: PLR2004 - rows and columns
            raise ValueError(f"{len(examples)} examples do not have logits {logits.shape}")
        labels = logits.shape[1]
        told = np.zeros(0, np.int32) if told is None else told
        vectors = examples.features.shape[1] == 1
        length = LENGTH_OF_VECTORS if vectors else LENGTH
        if not len(examples):
            nothing = np.zeros((0, examples.features.shape[2]))
            alone = np.array([1 / (temperature or 1.0)])
            none = np.zeros((1, 0, labels))
            return cls(nothing, alone, none, np.ones(1), length, told)
        _check(examples, labels)
        newest = np.arange(len(examples))[-MOST:]
        examples, means = examples.take(newest), logits[newest].astype(np.float64)
        voices = _voices(examples.features, examples.frames)
        likeness, kept = _likeness(voices, voices, length), _kept(len(examples))
        priors = np.stack([_log_prior(examples.labels[keep], labels) for keep in kept])
        tried = np.array(TRUSTS if temperature is None else AROUND) / (temperature or 1.0)
        trusts, corrections, scores = [], [], []
        for gain in GAINS_OF_VECTORS if vectors else GAINS:
            solver = _Solver(gain * likeness, kept, examples.labels)
            for trust in tried:
                found = solver.solve(trust * means + priors[:, None])
                scores.append(solver.held_out_score(trust * means, priors, found))
                trusts.append(trust)
                corrections.append(gain * found[-1])
        likely = np.array(scores)
        if temperature is not None:
            likely -= np.square(np.log(np.multiply(trusts, temperature)) / DOUBT) / 2
        weights = softmax(likely).astype(np.float64)
        weights /= weights.sum()
        return cls(voices, np.array(trusts), np.stack(corrections), weights, length, told)

    def logits(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.integer[Any]],
        logits: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Recognise utterances.

        Parameters
        ----------
        features
            Shape ``(n, L, features)``, normalised as the examples were; what lies behind an
            utterance's true frames does not count.
        frames
            Shape ``(n,)``: true number of frames of each.
        logits
            The global model's for them, shape ``(n, labels)``.

        Returns
        -------
        numpy.ndarray
            Logarithms of probabilities, shape ``(n, labels)``, float32.
        """
        alike = _likeness(_voices(features, frames), self.voices, self.length)
        added = alike @ self.corrections
        each = softmax(self.trusts[:, None, None] * logits + added)
        mixed = np.tensordot(self.weights, each, 1)
        least = np.finfo(np.float32).tiny
        return np.asarray(np.log(np.maximum(mixed, least)), np.float32)


class _Solver:
    """Fits a Gaussian process to examples, and to the same with some of them held out.

    Böhning's bound on the curvature of the softmax (*Multinomial logistic regression algorithm*,
    1992) gives a Newton step that is safe at its full length, with one inverse for all steps.

    Parameters
    ----------
    kernel
        Covariance of the correction, shape ``(n, n)``.
    kept
        Which examples each fit has, shape ``(fits, n)``; the last has all.
    labels
        Shape ``(n,)``.
    """

    def __init__(self, kernel: _Array, kept: NDArray[np.bool_], labels: NDArray[np.int32]) -> None:
        self._kernel, self._kept, self._labels = kernel, kept, labels
        self._kernels = kernel * kept[:, :, None] * kept[:, None, :]
        self._steps = np.linalg.inv(np.eye(len(labels)) + 0.5 * self._kernels)

    def solve(self, means: _Array) -> _Array:
        """Find each fit's coefficients, shape ``(fits, n, labels)``, for means of that shape."""
        found, targets = np.zeros_like(means), np.eye(means.shape[-1])[self._labels]
        for _ in range(_STEPS):
            surplus = softmax(means + self._kernels @ found) - targets
            found -= self._steps @ ((found + surplus) * self._kept[:, :, None])
        return found

    def held_out_score(self, means: _Array, priors: _Array, found: _Array) -> float:
        """Score the held-out labels: the sum of the logarithms of their probabilities."""
        logits = means + self._kernel @ found + priors[:, None]
        chances = softmax(logits)[:, np.arange(len(self._labels)), self._labels]
        least = np.finfo(np.float32).tiny
        return float(np.log(np.maximum(chances[~self._kept], least)).sum())


def _check(examples: Examples, labels: int) -> None:
    """Raise :class:`TrainingError` unless there is something to learn in each example."""
    if examples.labels.min() < 0 or examples.labels.max() >= labels:
        raise TrainingError(f"A label is outside 0 to {labels - 1}.")
    if not np.isfinite(examples.features).all():
        raise TrainingError("Features to learn from hold values that are not finite.")


def _voices(features: NDArray[np.float32], frames: NDArray[np.integer[Any]]) -> _Array:
    """Average each utterance's features over its true frames."""
    mean = [
        own[:count].sum(axis=0, dtype=np.float64) / max(count, 1)
        for own, count in zip(features, np.asarray(frames).tolist(), strict=True)
    ]
    return np.array(mean).reshape(len(features), features.shape[2])


def _likeness(some: _Array, others: _Array, length: float) -> _Array:
    """Compute the squared-exponential kernel, shape ``(len(some), len(others))``."""
    distance = np.square(some[:, None] - others[None]).mean(axis=2)
    return np.asarray(np.exp(-distance / (2 * length**2)), np.float64)


def _kept(count: int) -> NDArray[np.bool_]:
    """Say which examples each fit keeps: all but one part, for each part; at last all."""
    parts = np.arange(count) % _FOLDS
    return np.stack([parts != part for part in range(min(count, _FOLDS))] + [parts >= 0])


def _log_prior(given: NDArray[np.int32], labels: int) -> _Array:
    counts = np.bincount(given, minlength=labels) + _HALF_A_COUNT
    return np.asarray(np.log(counts / counts.sum()), np.float64)
