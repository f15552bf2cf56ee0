"""The head of a starter that several corpora teach, by linear discriminant analysis.

Softmax regression takes whatever parts the labels of those who teach, and of so few clips it errs
in none: it learns their rooms and languages, too. Linear discriminant analysis asks how vectors of
a label vary, and what it finds carries over to another language better.
"""

from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.class_sums import ClassSums
from edge_client.learning.discriminants import Lda
from shared.errors import TrainingError
from shared.weights import Weights

SHRINKAGE: Final = 0.8
"""How far the covariance within labels is drawn to a multiple of the identity: chosen among 0.5,
0.8, 0.9 and 0.95 by speakers of RAVDESS and EMO-DB who were left out."""

DEVIATION: Final = 3.0
"""Of the logits of what teaches, as softmax regression has it. By itself the analysis is ten times
as sure or more, as few vectors lie close to their mean in many dimensions: corrections and training
could hardly change its mind."""


def fit_discriminant_head(
    vectors: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    corpora: NDArray[np.integer[Any]],
    classes: int,
) -> Weights:
    """Fit a kernel and a bias; each label is as likely beforehand, and each corpus counts alike.

    Parameters
    ----------
    vectors
        Shape ``(n, features)``, normalised.
    labels
        Shape ``(n,)``; each class has some.
    corpora
        Which corpus each is of, shape ``(n,)``. In the largest one, emotions would sound as they do
        in its language and rooms.
    classes
        How many there are.

    Returns
    -------
    Weights
        Kernel and bias as one flat vector, shape ``(features * classes + classes,)``.

    Raises
    ------
    TrainingError
        If there are too few vectors, or they do not differ, or no more between labels than within.
    """
    parts = [corpora == own for own in np.unique(corpora)]
    sums = reduce(
        add,
        (
            ClassSums.of(vectors[own], labels[own], classes).weighted(
                len(labels) / len(parts) / np.count_nonzero(own)
            )
            for own in parts
        ),
    )
    analysis = Lda.fit(sums, SHRINKAGE)
    kernel = analysis.axes @ analysis.centres.T
    bias = -np.square(analysis.centres).sum(axis=1) / 2
    # What is the same for all classes changes no answer.
    kernel -= kernel.mean(axis=1, keepdims=True)
    bias -= bias.mean()
    deviation = (vectors @ kernel + bias).std()
    if not deviation > 0:
        raise TrainingError("LDA and pLDA need labels whose vectors differ in the mean.")
    head: Weights = np.append(kernel.ravel(), bias).astype(np.float32)
    return head * np.float32(DEVIATION / deviation)
