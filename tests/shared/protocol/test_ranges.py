"""Ranges of bytes against sets of integers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.ranges import Ranges

Pairs = list[tuple[int, int]]

offsets = st.integers(0, 40)
pairs = st.lists(st.tuples(offsets, offsets), max_size=20)


def members(ranges: Pairs) -> set[int]:
    return {offset for begin, end in ranges for offset in range(begin, end)}


@given(pairs)
def test_they_hold_what_was_added(added: Pairs) -> None:
    ranges = Ranges(added)
    found = list(ranges)
    assert members(found) == members(added)
    assert ranges.total == len(members(added))
    assert len(ranges) == len(found)


@given(pairs)
def test_they_are_sorted_apart_and_not_empty(added: Pairs) -> None:
    found = list(Ranges(added))
    assert all(begin < end for begin, end in found)
    assert all(end < begin for (_, end), (begin, _) in pairwise(found))


@given(pairs)
def test_the_order_does_not_matter(added: Pairs) -> None:
    assert list(Ranges(added)) == list(Ranges(reversed(added))) == list(Ranges(sorted(added)))


@given(pairs, offsets, offsets)
def test_a_range_is_covered_if_all_of_it_was_added(added: Pairs, begin: int, end: int) -> None:
    assert Ranges(added).covers(begin, end) == (set(range(begin, end)) <= members(added))


@given(pairs, offsets)
def test_what_is_missing_completes_the_whole(added: Pairs, size: int) -> None:
    missing = list(Ranges(added).missing(size))
    assert members(missing) == set(range(size)) - members(added)
    assert all(end < begin for (_, end), (begin, _) in pairwise(missing))
    assert list(Ranges([*added, *missing]).missing(size)) == []


@given(pairs)
def test_a_copy_is_its_own(added: Pairs) -> None:
    ranges = Ranges(added)
    before = list(ranges)
    Ranges(ranges).add(0, 41)
    assert list(ranges) == before


def test_of_odd_ranges_whole_chunks_are_left() -> None:
    odd = Ranges([(0, 700), (900, 2100), (2200, 3900), (3950, 4500)])
    assert list(odd.whole(1000, 4500)) == [(1000, 2000), (4000, 4500)]
    assert list(odd.whole(100, 4500)) == [(0, 700), (900, 2100), (2200, 3900), (4000, 4500)]
    assert list(Ranges([(0, 4500)]).whole(1000, 4500)) == [(0, 4500)]
