"""Softmax regression, compared with scikit-learn's."""

import numpy as np

from edge_client.learning.softmax_regression import STRENGTH, fit_softmax


def test_it_finds_what_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    labels = rng.choice(3, 200, p=[0.6, 0.3, 0.1])
    vectors = (rng.standard_normal((200, 8)) + np.eye(8)[labels] * 3).astype(np.float32)
    reference = LogisticRegression(C=STRENGTH, class_weight="balanced", tol=1e-10, max_iter=1000)
    reference.fit(vectors, labels)
    found = fit_softmax(vectors, labels, 3).reshape(9, 3)
    np.testing.assert_allclose(found[:-1], reference.coef_.T, atol=1e-4)
    bias = reference.intercept_ - reference.intercept_.mean()
    np.testing.assert_allclose(found[-1] - found[-1].mean(), bias, atol=1e-4)
