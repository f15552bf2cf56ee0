"""The head by linear discriminant analysis, compared with scikit-learn's."""

import numpy as np
import pytest

from edge_client.learning.discriminant_head import DEVIATION, SHRINKAGE, fit_discriminant_head
from shared.errors import TrainingError


def test_but_for_how_sure_it_is_it_finds_what_scikit_learn_finds() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 50)
    vectors = (rng.standard_normal((150, 8)) * rng.uniform(0.5, 2, 8)).astype(np.float32)
    vectors += np.float32(2) * rng.standard_normal((3, 8)).astype(np.float32)[labels]
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(vectors, labels)
    wanted = vectors @ reference.coef_.T + reference.intercept_
    wanted -= wanted.mean(axis=1, keepdims=True)
    found = fit_discriminant_head(vectors, labels, np.zeros(150, int), 3).reshape(9, 3)
    logits = vectors @ found[:-1] + found[-1]
    assert logits.std() == pytest.approx(DEVIATION, rel=1e-4)
    np.testing.assert_allclose(logits, wanted * DEVIATION / wanted.std(), atol=1e-3)


def test_a_label_of_few_vectors_is_as_likely_as_the_others() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [190, 10])
    vectors = rng.standard_normal((200, 4)).astype(np.float32)
    vectors[:, 0] = np.where(labels, 1, -1)
    vectors[:, 0] += rng.standard_normal(200).astype(np.float32) / 10
    means = [vectors[labels == label].mean(axis=0) for label in (0, 1)]
    found = fit_discriminant_head(vectors, labels, np.zeros(200, int), 2).reshape(5, 2)
    middle = np.mean(means, axis=0) @ found[:-1] + found[-1]
    assert middle[0] == pytest.approx(middle[1], abs=1e-4)


def test_a_corpus_of_many_clips_counts_as_one_of_few_does() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 20)
    vectors = rng.standard_normal((40, 4)).astype(np.float32)
    vectors[:, 0] += labels
    corpora = np.repeat([0, 1], [8, 32])
    once = fit_discriminant_head(vectors, labels, corpora, 2)
    more = np.append(np.arange(40), np.tile(np.arange(8), 4))
    again = fit_discriminant_head(vectors[more], labels[more], corpora[more], 2)
    kernel, other = once.reshape(5, 2)[:-1, 0], again.reshape(5, 2)[:-1, 0]
    np.testing.assert_allclose(kernel @ other, np.linalg.norm(kernel) * np.linalg.norm(other))


def test_vectors_that_are_all_alike_are_refused() -> None:
    vectors = np.ones((8, 3), np.float32)
    with pytest.raises(TrainingError, match="differ within a label"):
        fit_discriminant_head(vectors, np.arange(8) % 2, np.zeros(8, int), 2)


def test_the_same_vectors_under_all_labels_are_refused() -> None:
    vectors = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    twice = np.concatenate([vectors, vectors])
    with pytest.raises(TrainingError, match="differ in the mean"):
        fit_discriminant_head(twice, np.repeat([0, 1], 8), np.zeros(16, int), 2)
