"""LDA and pLDA from sums: as scikit-learn and the closed form have it; clients' sums add up."""

from functools import reduce
from operator import add

import numpy as np
import pytest

from edge_client.learning.class_sums import ClassSums
from edge_client.learning.discriminants import Lda, Plda
from shared.errors import TrainingError

RNG = np.random.default_rng(5)
CENTRES = RNG.normal(0, 2, (3, 6))
LABELS = np.arange(150) % 3
MIXED = np.tril(RNG.normal(0, 0.5, (6, 6))) + np.eye(6)
VECTORS = (CENTRES[LABELS] + RNG.normal(0, 1, (150, 6)) @ MIXED).astype(np.float32)
SUMS = ClassSums.of(VECTORS, LABELS, 3)


def test_sums_give_means_and_covariances() -> None:
    for label in range(3):
        own = VECTORS[label == LABELS].astype(np.float64)
        np.testing.assert_allclose(SUMS.means[label], own.mean(axis=0))
    rest = VECTORS.astype(np.float64) - SUMS.means[LABELS]
    np.testing.assert_allclose(SUMS.within, rest.T @ rest / 150, atol=1e-12)
    total = np.cov(VECTORS.astype(np.float64).T, bias=True)
    np.testing.assert_allclose(SUMS.within + SUMS.between, total, atol=1e-12)


def test_sums_of_projections_are_projections_of_sums() -> None:
    axes = RNG.normal(0, 1, (6, 2))
    direct = ClassSums.of(VECTORS.astype(np.float64) @ axes, LABELS, 3)
    for name in ("counts", "sums", "products"):
        found = getattr(SUMS.projected(axes), name)
        np.testing.assert_allclose(found, getattr(direct, name), rtol=1e-12)


def test_what_clients_send_adds_up_to_central_training() -> None:
    client = RNG.integers(0, 7, 150)
    parts = [ClassSums.of(VECTORS[client == c], LABELS[client == c], 3) for c in range(7)]
    federated = reduce(add, parts)
    assert [one.size for one in parts] == [8 * (3 + 3 * 6 + 21)] * 7
    for name in ("counts", "sums", "products"):
        np.testing.assert_allclose(getattr(federated, name), getattr(SUMS, name), rtol=1e-12)
    one, other = Lda.fit(federated, 0.1), Lda.fit(SUMS, 0.1)
    np.testing.assert_allclose(one.scores(VECTORS), other.scores(VECTORS), rtol=1e-9)
    wide = VECTORS.astype(np.float64)
    first, second = Plda.fit(federated), Plda.fit(SUMS)
    np.testing.assert_allclose(first.spread, second.spread, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(first.pair_scores(wide), second.pair_scores(wide), rtol=1e-7)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 0.7])
def test_lda_decides_as_scikit_learn_does(shrinkage: float) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    wide = VECTORS.astype(np.float64)
    theirs = LinearDiscriminantAnalysis("lsqr", shrinkage=shrinkage).fit(wide, LABELS)
    found = Lda.fit(SUMS, shrinkage).scores(VECTORS)
    expected = theirs.decision_function(wide)
    np.testing.assert_allclose(
        found - found[:, :1], expected - expected[:, :1], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_array_equal(found.argmax(axis=1), theirs.predict(VECTORS))


def test_lda_has_the_axes_of_scikit_learn() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    theirs = LinearDiscriminantAnalysis("eigen").fit(VECTORS.astype(np.float64), LABELS)
    found = Lda.fit(SUMS, 0.0).project(VECTORS)
    expected = theirs.transform(VECTORS.astype(np.float64))
    signs = np.sign(np.sum((found - found.mean(axis=0)) * expected, axis=0))
    np.testing.assert_allclose(
        (found - found.mean(axis=0)) * signs, expected - expected.mean(axis=0), atol=1e-6
    )


def test_plda_finds_the_covariances_that_vectors_were_drawn_from() -> None:
    rng = np.random.default_rng(1)
    classes, each = 3000, 4
    own = np.repeat(np.arange(classes), each)
    true = np.array([4.0, 1.0, 0.0])
    mixing = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.5]])
    centres = rng.normal(0, np.sqrt(true), (classes, 3))
    latent = centres[own] + rng.normal(0, 1, (classes * each, 3))
    model = Plda.fit(ClassSums.of(latent @ mixing + 7, own, classes))
    np.testing.assert_allclose(model.spread, true, atol=0.2)
    np.testing.assert_allclose(model.mean, 7, atol=0.2)
    back = model.project(latent @ mixing + 7)
    assert np.abs(np.corrcoef(back.T, latent.T)[:3, 3:]).max(axis=1) == pytest.approx(1, abs=0.01)


def test_plda_compares_pairs_by_the_closed_form() -> None:
    from scipy.stats import multivariate_normal

    model = Plda.fit(SUMS)
    few = VECTORS[:5].astype(np.float64)
    found = model.pair_scores(few)
    points, width = model.project(few), len(model.spread)
    spread = np.diag(model.spread)
    same = np.block([[np.eye(width) + spread, spread], [spread, np.eye(width) + spread]])
    other = np.kron(np.eye(2), np.eye(width) + spread)
    for one in range(5):
        for two in range(5):
            pair = np.concatenate([points[one], points[two]])
            ratio = multivariate_normal.logpdf(pair, cov=same)
            ratio -= multivariate_normal.logpdf(pair, cov=other)
            assert found[one, two] == pytest.approx(ratio, rel=1e-9)
    np.testing.assert_allclose(found, found.T, rtol=1e-9)


def test_plda_scores_classes_by_the_closed_form() -> None:
    from scipy.stats import multivariate_normal

    model = Plda.fit(SUMS)
    vector = VECTORS[:1].astype(np.float64)
    width = len(model.spread)
    spread, count = np.diag(model.spread), int(model.counts[0])
    mean_of_known = spread + np.eye(width) / count
    whole = np.block([[np.eye(width) + spread, spread], [spread, mean_of_known]])
    known = [
        multivariate_normal.logpdf(np.concatenate([model.project(vector)[0], centre]), cov=whole)
        - multivariate_normal.logpdf(centre, cov=mean_of_known)
        for centre in model.centres
    ]
    np.testing.assert_allclose(model.scores(vector)[0], known, rtol=1e-9)


def test_too_few_vectors_are_refused() -> None:
    alone = ClassSums.of(VECTORS[:3], LABELS[:3], 3)
    missing = ClassSums.of(VECTORS[LABELS > 0], LABELS[LABELS > 0], 3)
    for sums in (alone, missing):
        with pytest.raises(TrainingError, match="more clips than labels"):
            Plda.fit(sums)
        with pytest.raises(TrainingError, match="more clips than labels"):
            Lda.fit(sums, 0.1)


@pytest.mark.parametrize("seed", range(8))
def test_vectors_of_two_sentences_tell_nothing_and_do_not_fail(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sentences = rng.standard_normal((2, 30)).astype(np.float32)
    labels = np.arange(160, dtype=np.int32) % 4
    vectors = sentences[(np.arange(160) // 4) % 2]
    sums = ClassSums.of(vectors, labels, 4)
    lda = Lda.fit(sums, 0.5)
    plda = Plda.fit(sums.projected(lda.axes))
    assert np.isfinite(plda.scores(lda.project(vectors))).all()
    assert np.isfinite(plda.pair_scores(lda.project(vectors))).all()
    assert np.abs(plda.spread).max() < 1e-6


def test_sentences_that_every_label_has_as_often_tell_nothing_and_do_not_fail() -> None:
    # As `words` gives them of RAVDESS: along most axes there is nothing, not even rounding.
    sentences = np.zeros((2, 256), np.float32)
    sentences[0, :6], sentences[1, 4:9] = 2, -2
    labels = np.arange(160, dtype=np.int32) % 4
    vectors = sentences[(np.arange(160) // 4) % 2]
    sums = ClassSums.of(vectors - vectors.mean(axis=0), labels, 4)
    lda = Lda.fit(sums, 0.9)
    plda = Plda.fit(sums.projected(lda.axes), scale=1.0)
    points = lda.project(vectors)
    assert np.isfinite(plda.pair_scores(points)).all()
    assert np.ptp(plda.scores(points), axis=1).max() < 1e-6


def test_vectors_that_are_all_the_same_are_refused() -> None:
    vectors, labels = np.ones((12, 3), np.float32), np.arange(12, dtype=np.int32) % 4
    with pytest.raises(TrainingError, match="vectors that differ within a label"):
        Lda.fit(ClassSums.of(vectors, labels, 4), 0.5)
