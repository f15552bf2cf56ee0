"""Attacks find what is there, and nothing where nothing is."""

import numpy as np
import pytest

from edge_client.simulation.studies.attacks.defences import Rows
from edge_client.simulation.studies.attacks.inferences import (
    Membership,
    count_labels,
    counted_right,
    recognise_speakers,
    scaled,
    tell_gender,
)
from edge_client.simulation.studies.attacks.updates import draw_shares

LABELS = np.arange(240, dtype=np.int32) % 4
SPEAKERS = np.repeat(np.arange(12), 20)
SHARES = draw_shares(LABELS, SPEAKERS, 5, seed=0)
WHOSE = np.array([share.speaker for share in SHARES])
KNOWN = WHOSE < 8


def rows(told: float) -> Rows:
    """Give updates that tell of their speakers, so many times the rest."""
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((12, 50)).astype(np.float32)
    voices[:, 0] += 8 * (np.arange(12) % 2 - 0.5)
    noise = rng.standard_normal((len(WHOSE), 50))
    return np.asarray(told * voices[WHOSE] + noise, np.float32)


@pytest.mark.parametrize(("told", "least", "most"), [(3.0, 0.8, 1.0), (0.0, 0.1, 0.4)])
def test_speakers_are_recognised_if_updates_tell_of_them(
    told: float, least: float, most: float
) -> None:
    some = rows(told)
    shares = [share for share in SHARES if share.speaker >= 8]
    right = recognise_speakers(some[KNOWN], WHOSE[KNOWN], some[~KNOWN], shares)
    assert len(right) == 4 * 4 * 4, "four speakers, four updates, four earlier ones"
    assert least <= right.mean() <= most


@pytest.mark.parametrize(("told", "least", "most"), [(3.0, 0.8, 1.0), (0.0, 0.2, 0.8)])
def test_gender_is_told_if_updates_tell_of_it(told: float, least: float, most: float) -> None:
    some = rows(told)
    found = tell_gender(some[KNOWN], WHOSE[KNOWN] % 2, some[~KNOWN])
    assert least <= (found == WHOSE[~KNOWN] % 2).mean() <= most


def test_labels_are_counted_by_the_bias_of_gradient_descent() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 60)
    biases = (0.1 * (shares - [0.3, 0.3, 0.2, 0.2])).astype(np.float32)
    few = count_labels(biases[:40], shares[:40], biases[40:])
    np.testing.assert_allclose(few.sum(axis=1), 1)
    guess = np.tile(shares[:40].mean(axis=0), (20, 1))
    assert counted_right(few, shares[40:]) > 0.95
    assert counted_right(guess, shares[40:]) < 0.8
    assert counted_right(shares, shares) == 1


@pytest.mark.parametrize(("noise", "least", "most"), [(0.0, 0.95, 1.0), (1000.0, 0.35, 0.65)])
def test_members_are_told_by_their_gradients(noise: float, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(400)
    gradients = (common + rng.standard_normal((240, 400))).astype(np.float32)
    shares = [share for share in SHARES if share.speaker >= 8]
    seen = np.array([gradients[share.members].mean(axis=0) for share in shares])
    seen += noise * rng.standard_normal(seen.shape).astype(np.float32)
    higher = Membership(gradients, LABELS, SPEAKERS < 8).higher(seen, shares)
    assert least <= higher <= most


def test_tensors_count_alike_whatever_their_size() -> None:
    tensors = [slice(0, 3), slice(3, 5)]
    found = scaled(np.array([[300, 0, 400, 0, 0], [0, 1, 0, 0, 2]], np.float32), tensors)
    expected = np.array([[0.6, 0, 0.8, 0, 0], [0, 1, 0, 0, 1]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
