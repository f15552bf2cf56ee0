"""Masks are vectors modulo 2^b, packed without loss, and look random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secure.masks import Numbers, keystream, mask_of, packed, packed_size, reduced, unpacked

KEY = bytes(range(32))


def mask(length: int, bits: int) -> Numbers:
    return reduced(mask_of(KEY, length, bits).astype(np.uint32), bits)


@pytest.mark.parametrize("bits", range(8, 33))
def test_a_mask_is_the_low_bits_of_the_keystreams_words(bits: int) -> None:
    size = 1 if bits == 8 else 2 if bits <= 16 else 4
    stream = keystream(KEY, 100 * size)
    words = [int.from_bytes(stream[at : at + size], "little") for at in range(0, 100 * size, size)]
    assert mask(100, bits).tolist() == [word % 2**bits for word in words]


@pytest.mark.parametrize("bits", [8, 11, 16, 20, 32])
def test_each_value_of_a_mask_is_as_likely(bits: int) -> None:
    from scipy.stats import chisquare

    values = mask(1 << 18, bits)
    for shift in (0, bits - 8):
        counts = np.bincount((values >> np.uint32(shift)) & 255, minlength=256)
        assert chisquare(counts).pvalue > 1e-3


@given(st.integers(1, 32), st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_what_is_packed_is_unpacked_the_same(bits: int, numbers: list[int]) -> None:
    values = reduced(np.array(numbers, np.uint32), bits)
    data = packed(values, bits)
    assert len(data) == packed_size(len(values), bits)
    whole = sum(int(value) << (bits * place) for place, value in enumerate(values))
    assert int.from_bytes(data, "little") == whole, "the lowest bits come first"
    assert unpacked(data, len(values), bits).tolist() == values.tolist()


@pytest.mark.parametrize("length", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_003])
def test_long_vectors_are_packed_in_blocks_that_leave_no_gap(length: int) -> None:
    values = mask(length, 11)
    data = packed(values, 11)
    assert len(data) == packed_size(length, 11)
    np.testing.assert_array_equal(unpacked(data, length, 11), values)


def test_what_was_not_packed_so_is_refused() -> None:
    data = packed(np.array([5, 6, 7], np.uint32), 11)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(ValueError, match="bytes are expected"):
            unpacked(wrong, 3, 11)
    with pytest.raises(ValueError, match="behind the last value"):
        unpacked(data[:-1] + bytes([data[-1] | 0x80]), 3, 11)
