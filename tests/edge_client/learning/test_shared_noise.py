"""Noise that clients add to their own numbers."""

import math

import numpy as np
import pytest

from edge_client.learning.shared_noise import _table, discrete_gaussian, with_noise
from shared.codecs.ring import Ring

RING = Ring(16, 10, 1, (0,), 2.0)


@pytest.mark.parametrize("deviation", [0.4, 1.0, 3.7, 250.0])
def test_values_are_as_probable_as_the_formula_says(deviation: float) -> None:
    from scipy.stats import chisquare

    drawn = discrete_gaussian(50_000, deviation)
    edge = math.ceil(2 * deviation)
    values = np.arange(-edge, edge + 1)
    far = np.arange(-30 * math.ceil(deviation), 30 * math.ceil(deviation) + 1)
    weights = np.exp(-(values**2) / (2 * deviation**2))
    weights /= np.exp(-(far**2) / (2 * deviation**2)).sum()
    counts = np.array([(drawn == value).sum() for value in values])
    found, expected = [*counts, len(drawn) - counts.sum()], [*weights, 1 - weights.sum()]
    assert chisquare(found, np.array(expected) * len(drawn)).pvalue > 1e-6


def test_it_is_the_systems_and_never_the_same() -> None:
    one, other = (discrete_gaussian(20_000, 9.0) for _ in range(2))
    assert not np.array_equal(one, other)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_where_a_word_does_not_decide_further_bits_do() -> None:
    table = _table(5.0)
    place = len(table.begins) // 2
    first = table.words[place].item()
    rest = table.begins[place] - (first << 128)

    def drawn(more: int) -> int:
        words = iter([first.to_bytes(8, "little"), more.to_bytes(16)])
        return int(discrete_gaussian(1, 5.0, lambda _: next(words))[0])

    assert drawn(rest) == table.lowest + place + 1
    assert drawn(rest - 1) == table.lowest + place


def test_the_shares_of_those_who_are_guaranteed_are_enough_together() -> None:
    zeros = np.zeros(20_000, np.uint32)
    total = np.sum([with_noise(zeros, RING, 6) for _ in range(6)], axis=0, dtype=np.uint32)
    noise = RING.signed(total & np.uint32(RING.mask))
    assert noise.std() == pytest.approx(RING.noise * RING.levels, rel=0.03)


def test_what_is_not_trained_gets_no_noise_and_what_was_given_stays() -> None:
    numbers = np.full(100, 7, np.uint32)
    noisy = with_noise(numbers, RING, 6, first=40)
    np.testing.assert_array_equal(noisy[:40], numbers[:40])
    assert (noisy[40:] != 7).mean() > 0.9
    assert (numbers == 7).all()
    assert noisy.max() <= RING.mask


def test_the_sum_of_all_fits_with_its_noise() -> None:
    loudest = math.sqrt(RING.clients / 6) * RING.noise * RING.levels
    assert RING.clients * RING.levels + 8 * loudest < RING.half
    assert Ring(16, 10, 1, (0,)).levels == (RING.half - 1) // 10, "without noise as ever"
