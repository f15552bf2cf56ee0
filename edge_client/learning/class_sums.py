"""What a linear classifier needs of labelled vectors: sums, which add up over clients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import TrainingError

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ClassSums:
    """Counts, sums and products of vectors, by label.

    The sums of several clients together are those of all their vectors: a federation needs one
    round, and no client tells a single vector.

    Attributes
    ----------
    counts
        Vectors of each of k labels, shape ``(k,)``.
    sums
        Their sums, shape ``(k, d)``.
    products
        Sum of all vectors' outer products, shape ``(d, d)``.
    """

    counts: Values
    sums: Values
    products: Values

    @classmethod
    def of(cls, vectors: NDArray[Any], labels: NDArray[np.integer[Any]], count: int) -> "ClassSums":
        """Add up labelled vectors.

        Parameters
        ----------
        vectors
            Shape ``(n, d)``.
        labels
            Shape ``(n,)``: 0 to ``count`` - 1.
        count
            Number of labels.
        """
        wide = vectors.astype(np.float64)
        said = np.eye(count)[labels]
        return cls(said.sum(axis=0), said.T @ wide, wide.T @ wide)

    def __add__(self, other: "ClassSums") -> "ClassSums":
        """Put the vectors of two clients together."""
        return ClassSums(
            self.counts + other.counts, self.sums + other.sums, self.products + other.products
        )

    def weighted(self, weight: float) -> "ClassSums":
        """Let each vector count so many times."""
        return ClassSums(weight * self.counts, weight * self.sums, weight * self.products)

    @property
    def size(self) -> int:
        """Bytes that a client sends as float64; of the symmetric products one half."""
        width = self.sums.shape[1]
        return 8 * (self.counts.size + self.sums.size + width * (width + 1) // 2)

    @property
    def means(self) -> Values:
        """Mean of each label's vectors, shape ``(k, d)``."""
        return self.sums / self.counts[:, None]

    @property
    def mean(self) -> Values:
        """Mean of all vectors, shape ``(d,)``."""
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())

    @property
    def within(self) -> Values:
        """Covariance of vectors around their label's mean, shape ``(d, d)``."""
        explained = (self.sums / self.counts[:, None]).T @ self.sums
        return np.asarray((self.products - explained) / self.counts.sum())

    @property
    def between(self) -> Values:
        """Covariance of the labels' means, each weighted by its vectors, shape ``(d, d)``."""
        away = self.means - self.mean
        return np.asarray((self.counts * away.T) @ away / self.counts.sum())

    def projected(self, axes: Values) -> "ClassSums":
        """Give the sums of the vectors' projections onto axes of shape ``(d, m)``."""
        return ClassSums(self.counts, self.sums @ axes, axes.T @ self.products @ axes)

    def check(self) -> None:
        """Raise :class:`TrainingError` unless each label has vectors, and one has several."""
        if not self.counts.all() or self.counts.sum() <= len(self.counts) or len(self.counts) == 1:
            raise TrainingError(
                "LDA and pLDA need two labels or more, each with clips, and more clips than labels."
            )
