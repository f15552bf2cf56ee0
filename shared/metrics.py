"""Scores of a recogniser, computed from its confusion matrix.

Confusion matrices of several devices can be added, and the sum scored: no device has to tell more
than these counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import TrainingError, WeightsError


def confusion(labels: ArrayLike, predictions: ArrayLike, size: int) -> NDArray[np.int64]:
    """Count how often each label was recognised as each.

    Parameters
    ----------
    labels, predictions
        Shape ``(n,)``, integers: places among the labels of the task.
    size
        How many labels there are.

    Returns
    -------
    numpy.ndarray
        Shape ``(size, size)``, int64: rows are true labels, columns predicted ones.

    Raises
    ------
    ValueError
        If the lengths differ or an index is out of range.
    """
    truth = np.asarray(labels, np.int64)
    found = np.asarray(predictions, np.int64)
    if truth.ndim != 1 or truth.shape != found.shape:
        raise ValueError(f"labels {truth.shape} and predictions {found.shape} do not match")
    for values in (truth, found):
        if values.size and not 0 <= values.min() <= values.max() < size:
            raise ValueError(f"labels and predictions must be 0 to {size - 1}")
    return np.bincount(size * truth + found, minlength=size * size).reshape(size, size)


def check_logits(logits: NDArray[np.float32]) -> None:
    """Raise :class:`WeightsError` if logits are not finite, as of weights that overflow.

    The largest of them would be the first label, whatever was said.
    """
    if not np.isfinite(logits).all():
        raise WeightsError(
            "What the model computes is not finite: its weights are too large.",
            "Train it anew with a smaller learning rate, or take another model.",
        )


def predicted(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Choose the most probable labels.

    Parameters
    ----------
    logits
        Shape ``(n, labels)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``, int64: places among the labels of the task.

    Raises
    ------
    WeightsError
        If they are not finite.
    """
    check_logits(logits)
    return np.asarray(logits.argmax(axis=1), np.int64)


def mean_loss(logits: ArrayLike, labels: ArrayLike) -> float:
    """Compute the mean cross-entropy, in nats.

    Parameters
    ----------
    logits
        Shape ``(n, labels)``; n at least 1.
    labels
        Shape ``(n,)``, integers.
    """
    scores = np.asarray(logits, np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)  # or the exponential overflows
    surprise = np.log(np.exp(scores).sum(axis=1))
    return float(np.mean(surprise - scores[np.arange(len(scores)), np.asarray(labels)]))


def softmax(logits: ArrayLike) -> NDArray[np.float32]:
    """Turn logits of shape ``(..., labels)`` into probabilities of the same shape, float32."""
    scores = np.asarray(logits, np.float64)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of one label.

    Attributes
    ----------
    precision
        Share of the utterances recognised as this label that have it; 0 if there are none.
    recall
        Share of the utterances of this label that were recognised; 0 if there are none.
    f1
        Harmonic mean of the two; 0 if both are.
    support
        Number of utterances of this label.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a recogniser on some utterances, all in [0, 1].

    A label that no utterance has and that was never recognised is absent and counts in no
    average. One that no utterance has but that was recognised counts as 0 in ``precision``,
    ``recall`` and ``macro_f1`` (as in scikit-learn's macro averages), not in ``uar`` (as in its
    balanced accuracy); where every label occurs, ``recall`` and ``uar`` are the same.

    Attributes
    ----------
    accuracy
        Share of the utterances that were recognised; also called weighted accuracy.
    uar
        Unweighted average recall: the mean recall over the labels that occur.
    precision, recall, macro_f1
        Means over the labels that occur or were recognised.
    classes
        Scores of each label, by its name.
    confusion
        Counts: rows are true labels, columns predicted ones.
    """

    accuracy: float
    uar: float
    precision: float
    recall: float
    macro_f1: float
    classes: dict[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]

    @classmethod
    def from_confusion(cls, matrix: NDArray[np.int64], names: Sequence[str]) -> "Scores":
        """Score a confusion matrix.

        Parameters
        ----------
        matrix
            Shape ``(labels, labels)``: rows are true labels.
        names
            The labels' names, in its order.

        Raises
        ------
        TrainingError
            If it counts no utterances.
        ValueError
            If it has another shape or negative counts.
        """
        if matrix.shape != (len(names), len(names)) or matrix.min() < 0:
            raise ValueError(f"not a confusion matrix of {len(names)} labels")
        if not matrix.any():
            raise TrainingError("There are no utterances to score.")
        right = np.diag(matrix).astype(np.float64)
        support, found = matrix.sum(axis=1), matrix.sum(axis=0)
        precision = right / np.maximum(found, 1)
        recall = right / np.maximum(support, 1)
        f1 = 2 * right / np.maximum(support + found, 1)
        occurs = support > 0
        known = occurs | (found > 0)
        return cls(
            accuracy=float(right.sum() / matrix.sum()),
            uar=float(recall[occurs].mean()),
            precision=float(precision[known].mean()),
            recall=float(recall[known].mean()),
            macro_f1=float(f1[known].mean()),
            classes={
                name: ClassScores(
                    float(precision[i]), float(recall[i]), float(f1[i]), int(support[i])
                )
                for i, name in enumerate(names)
            },
            confusion=tuple(tuple(row) for row in matrix.tolist()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON can hold it; the matrix as a list of rows."""
        return {
            "accuracy": self.accuracy,
            "uar": self.uar,
            "precision": self.precision,
            "recall": self.recall,
            "macro_f1": self.macro_f1,
            "classes": {
                name: {
                    "precision": scores.precision,
                    "recall": scores.recall,
                    "f1": scores.f1,
                    "support": scores.support,
                }
                for name, scores in self.classes.items()
            },
            "confusion": [list(row) for row in self.confusion],
        }
