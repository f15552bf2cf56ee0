"""Whole numbers in a ring: what a client writes, when a ring is too small."""

import numpy as np
import pytest

from shared.codecs.codec import VALUES
from shared.codecs.ring import Ring, RingCodec
from shared.codecs.update_file import DELTA, encode_update
from shared.errors import SettingsError
from tests.shared.codecs.models import MIDDLE, SMALL, update

OCTAVES = tuple([0] * len(SMALL.manifest))


def ring(bits: int = 13, clients: int = 8, octaves: tuple[int, ...] = OCTAVES) -> Ring:
    return Ring(bits, clients, 100, octaves)


@pytest.mark.parametrize(("bits", "clients"), [(8, 127), (13, 100), (16, 10_000)])
def test_the_largest_numbers_of_all_clients_do_not_overflow(bits: int, clients: int) -> None:
    one = ring(bits, clients)
    sums = np.array([one.levels, -one.levels]) * clients
    np.testing.assert_array_equal(one.signed(sums & one.mask), sums)


def test_a_ring_that_would_overflow_is_refused() -> None:
    with pytest.raises(SettingsError, match="8 bits would overflow: the sum of 128 clients"):
        ring(8, 128)


@pytest.mark.parametrize("examples", [1, 28, 100, 100_000])
def test_the_mean_of_many_roundings_is_the_value(examples: int) -> None:
    codec = RingCodec(ring(), examples)
    vector = np.clip(update(SMALL), -0.5, 0.5) * np.float32(codec.share)
    read = np.mean(
        [
            encode_update(vector.copy(), SMALL, codec, np.random.default_rng(seed)).delta[:]
            for seed in range(200)
        ],
        axis=0,
    )
    np.testing.assert_allclose(read, vector, atol=5 * codec._steps.max() / np.sqrt(200))


def test_what_is_cut_off_comes_with_the_next_update() -> None:
    codec = RingCodec(ring(octaves=tuple([-3] * len(SMALL.manifest))), 100)
    vector = np.full(SMALL.parameters, 0.25, np.float32)
    rng = np.random.default_rng(0)
    first = encode_update(vector.copy(), SMALL, codec, rng)
    np.testing.assert_array_equal(first.delta[:], np.float32(0.125))
    assert first.residual is not None
    second = encode_update(np.zeros_like(vector), SMALL, codec, rng, residual=first.residual.copy())
    assert second.residual is not None
    np.testing.assert_array_equal(second.delta[:], np.float32(0.125))
    np.testing.assert_array_equal(second.residual, 0)


def test_huge_values_are_cut_off_without_a_warning() -> None:
    codec = RingCodec(ring(octaves=tuple([-60] * len(SMALL.manifest))), 1)
    vector = np.full(SMALL.parameters, -3e38, np.float32)
    sent = encode_update(vector, SMALL, codec, np.random.default_rng(0))
    numbers = sent.tensors[DELTA + VALUES]
    np.testing.assert_array_equal(codec.ring.signed(numbers), -codec.ring.levels)


def test_pieces_are_read_as_the_whole_is() -> None:
    codec = RingCodec(ring(octaves=tuple(range(-len(MIDDLE.manifest), 0))), 50)
    sent = encode_update(update(MIDDLE), MIDDLE, codec, np.random.default_rng(0))
    np.testing.assert_array_equal(sent.delta[40_000:40_010], sent.delta[:][40_000:40_010])
