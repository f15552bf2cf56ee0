"""Softmax regression by gradient descent on all examples at once: the head of a frozen encoder."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.weights import Weights

STRENGTH: Final = 0.01
"""Weight of the examples' loss against the square of the kernel: as ``C`` in scikit-learn's
``LogisticRegression``, chosen by validation speakers among 0.003, 0.01 and 0.03."""

STEPS: Final = 500
"""Of Nesterov's accelerated gradient; the loss changes in its fifth digit after 200."""


def fit_softmax(
    vectors: NDArray[np.float32], labels: NDArray[np.integer[Any]], classes: int
) -> Weights:
    """Fit a kernel and a bias; each label counts alike, however many examples it has.

    Parameters
    ----------
    vectors
        Shape ``(n, features)``, normalised.
    labels
        Shape ``(n,)``; each class has some.
    classes
        How many there are.

    Returns
    -------
    Weights
        Kernel and bias as one flat vector, shape ``(features * classes + classes,)``.
    """
    count, features = vectors.shape
    inputs = np.hstack([vectors.astype(np.float64), np.ones((count, 1))])
    targets = np.eye(classes)[labels]
    weight = (STRENGTH * count / classes / np.bincount(labels, minlength=classes))[labels, None]
    decay = np.append(np.ones(features), 0)[:, None]
    # Half the largest curvature of the loss bounds how far a step may go (Boehning, 1992).
    step = 1 / (1 + np.linalg.norm(inputs * np.sqrt(weight), 2) ** 2 / 2)
    now = ahead = np.zeros((features + 1, classes))
    pace = 1.0
    for _ in range(STEPS):
        scores = inputs @ ahead
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        then = ahead - step * (inputs.T @ (weight * (shares - targets)) + decay * ahead)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = then + (pace - 1) / faster * (then - now)
        now, pace = then, faster
    return now.ravel().astype(np.float32)
