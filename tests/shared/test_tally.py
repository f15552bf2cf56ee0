"""What clients count in a secure round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.ring import Ring
from shared.tally import Tally, tally_size

LABELS = 3
OCTAVES = (-3, 0, 5)


def tally(seed: int, heaviest: int) -> Tally:
    rng = np.random.default_rng(seed)
    return Tally(
        int(rng.integers(1, heaviest + 1)),
        float(rng.random() * 5),
        rng.integers(0, 1000, (LABELS, LABELS)),
        tuple((np.array(OCTAVES) + rng.integers(-3, 3, 3)).tolist()),
    )


@pytest.mark.parametrize(("bits", "clients"), [(8, 1), (8, 127), (13, 100), (16, 1000)])
def test_sums_of_counts_are_exact(bits: int, clients: int) -> None:
    ring = Ring(bits, clients, 10_000, OCTAVES)
    own = [tally(seed, ring.heaviest) for seed in range(clients)]
    sums = np.sum([one.numbers(ring) for one in own], axis=0, dtype=np.uint32) & ring.mask
    assert len(sums) == tally_size(ring, LABELS)
    found = Tally.read(sums.astype(np.uint32), clients, ring, LABELS)
    weights = [one.weight for one in own]
    assert found.weight == sum(weights)
    assert found.loss == pytest.approx(np.average([o.loss for o in own], weights=weights), abs=1e-3)
    np.testing.assert_array_equal(found.confusion, sum(one.confusion for one in own))
    mean = np.mean([one.octaves for one in own], axis=0)
    np.testing.assert_array_equal(found.octaves, np.ceil(mean - 1e-9))


def test_what_one_client_says_moves_the_announced_range_little() -> None:
    ring = Ring(13, 16, 100, OCTAVES)
    honest, liar = [Tally(9, 1.0, np.zeros((3, 3), np.int64), o) for o in (OCTAVES, (60, 60, -60))]
    sums = honest.numbers(ring) * np.uint32(15) + liar.numbers(ring) & np.uint32(ring.mask)
    found = Tally.read(sums, 16, ring, LABELS).octaves
    assert np.abs(np.subtract(found, OCTAVES)).max() <= 1


@given(st.data())
def test_no_lie_says_more_than_honest_clients_could_together(data: st.DataObject) -> None:
    bits, clients = data.draw(st.sampled_from([(8, 1), (8, 100), (13, 10), (16, 1000)]))
    ring = Ring(bits, clients, 100, OCTAVES)
    honest = tally(1, ring.heaviest).numbers(ring)
    # Numbers are masked: one who lies may add any, in any place.
    numbers = st.one_of(st.just(0), st.just(ring.mask), st.integers(0, ring.mask))
    lie = data.draw(st.lists(numbers, min_size=len(honest), max_size=len(honest)))
    sums = honest.astype(np.int64) * (clients - 1) + lie & ring.mask
    found = Tally.read(sums.astype(np.uint32), clients, ring, LABELS)
    assert clients <= found.weight <= clients * ring.heaviest
    assert 0 <= found.loss <= 64
    assert 0 <= found.confusion.min() <= found.confusion.max() <= clients * (2**20 - 1)
    moved = np.subtract(found.octaves, OCTAVES)
    assert -8 <= moved.min() <= moved.max() <= 7


def test_counts_and_losses_beyond_their_bounds_are_cut_off() -> None:
    ring = Ring(13, 1, 100, OCTAVES)
    wild = Tally(100, 1e30, np.full((3, 3), 10**12), OCTAVES)
    found = Tally.read(wild.numbers(ring), 1, ring, LABELS)
    assert (found.loss, found.confusion.max()) == (64.0, 2**20 - 1)
