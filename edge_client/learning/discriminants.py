"""Linear discriminant analysis, and its probabilistic form, from sums that add up over clients.

pLDA is that of Ioffe, *Probabilistic Linear Discriminant Analysis* (2006,
https://doi.org/10.1007/11744085_41): a vector is its class's centre and a rest, both Gaussian, in
coordinates in which the rest has variance 1 and the centres are independent. It can compare vectors
of classes that it has never seen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.class_sums import ClassSums, Values
from shared.errors import TrainingError

_LEAST: Final = 1e-9
"""Share of the mean variance that is added to each: far below what matters, above rounding."""


@dataclass(frozen=True)
class Lda:
    """Axes along which labels differ most, against how much their vectors vary.

    Attributes
    ----------
    axes
        Shape ``(d, k - 1)``: in their coordinates the vectors of a label have variance 1.
    centres
        The labels' means there, shape ``(k, k - 1)``.
    """

    axes: Values
    centres: Values

    @classmethod
    def fit(cls, sums: ClassSums, shrinkage: float) -> "Lda":
        """Fit to sums.

        Parameters
        ----------
        sums
            Of labelled vectors.
        shrinkage
            Share by which the covariance within labels is drawn to a multiple of the identity, as
            in scikit-learn's ``LinearDiscriminantAnalysis``: 0 to 1.

        Raises
        ------
        TrainingError
            If there are too few vectors, or they do not differ.
        """
        sums.check()
        within = sums.within
        width = len(within)
        shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / width * np.eye(width)
        axes, _ = _both_diagonal(sums.between, shrunk)
        kept = axes[:, : len(sums.counts) - 1]
        return cls(kept, sums.means @ kept)

    def project(self, vectors: NDArray[np.float32]) -> Values:
        """Give coordinates of vectors of shape ``(n, d)``: shape ``(n, k - 1)``."""
        return np.asarray(vectors.astype(np.float64) @ self.axes)

    def scores(self, vectors: NDArray[np.float32]) -> Values:
        """Give logarithms of likelihoods of the labels, but for a constant: shape ``(n, k)``."""
        away = self.project(vectors)[:, None] - self.centres
        return np.asarray(-np.square(away).sum(axis=-1) / 2)

    def pair_scores(self, vectors: NDArray[np.float32]) -> Values:
        """Say how near each vector is to each other one, shape ``(n, n)``."""
        points = self.project(vectors)
        return np.asarray(-np.square(points[:, None] - points).sum(axis=-1))


@dataclass(frozen=True)
class Plda:
    """Which vectors are of one class.

    Attributes
    ----------
    mean
        Of all vectors, shape ``(d,)``.
    axes
        To the coordinates of the rest's variance 1, shape ``(d, m)``: Ioffe's inverse of A.
    spread
        Variances of the classes' centres there, shape ``(m,)``: Ioffe's Psi.
    centres
        Means of the classes that it was fitted to there, shape ``(k, m)``.
    counts
        How many vectors each of these had, shape ``(k,)``.
    """

    mean: Values
    axes: Values
    spread: Values
    centres: Values
    counts: Values

    @classmethod
    def fit(cls, sums: ClassSums, scale: float = 0.0) -> "Plda":
        """Fit to sums; where classes differ in size, their mean size stands for it.

        Parameters
        ----------
        sums
            Of labelled vectors.
        scale
            Variance within a label that would be usual: 1 along the axes of :class:`Lda`. Where
            vectors of a label are all the same there, rounding is small against this alone.

        Raises
        ------
        TrainingError
            If there are too few vectors, or they do not differ.
        """
        sums.check()
        each = float(sums.counts.mean())
        within = sums.within
        # Where few vectors differ, as those of two sentences do, rounding leaves variances below 0.
        least = _LEAST * max(np.trace(within) / len(within), scale)
        within += least * np.eye(len(within))
        axes, ratios = _both_diagonal(sums.between, within)
        # Ioffe's estimates of the two covariances from so many vectors a class (figure 2).
        axes = axes * np.sqrt((each - 1) / each)
        spread = np.maximum(0, (each - 1) / each * ratios - 1 / each)
        return cls(sums.mean, axes, spread, (sums.means - sums.mean) @ axes, sums.counts)

    def project(self, vectors: Values) -> Values:
        """Give coordinates of vectors of shape ``(n, d)``: shape ``(n, m)``."""
        return np.asarray((vectors - self.mean) @ self.axes)

    def scores(self, vectors: Values) -> Values:
        """Give logarithms of likelihoods of the classes it was fitted to, shape ``(n, k)``.

        Each is that of a new vector of the class of so many known ones (Ioffe, equation 6).
        """
        counts = self.counts[:, None]
        known = counts * self.spread / (counts * self.spread + 1)
        variances: Values = 1.0 + self.spread / (counts * self.spread + 1)
        return _log_density(self.project(vectors)[:, None] - known * self.centres, variances)

    def pair_scores(self, vectors: Values) -> Values:
        """Give log-likelihood ratios of one class against two, for each pair: shape ``(n, n)``."""
        points = self.project(vectors)
        alone = _log_density(points, 1 + self.spread)
        known: Values = self.spread / (self.spread + 1)
        together = _log_density(points[:, None] - known * points, 1.0 + known)
        return np.asarray(together - alone[:, None])


def _both_diagonal(between: Values, within: Values) -> tuple[Values, Values]:
    """Solve ``between v = ratio within v``: axes in columns, the largest ratio first.

    Along them ``within`` is the identity, and ``between`` the ratios.

    Raises
    ------
    TrainingError
        If ``within`` has an axis along which nothing varies.
    """
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(within))
    except np.linalg.LinAlgError as error:
        raise TrainingError(
            "LDA and pLDA need vectors that differ within a label, along each axis."
        ) from error
    ratios, turned = np.linalg.eigh(inverse @ between @ inverse.T)
    return (inverse.T @ turned)[:, ::-1], ratios[::-1]


def _log_density(away: Values, variances: Values) -> Values:
    """Give logarithms of Gaussian densities with independent coordinates, over the last axis."""
    terms = np.square(away) / variances + np.log(2 * np.pi * variances)
    return np.asarray(-terms.sum(axis=-1) / 2)
