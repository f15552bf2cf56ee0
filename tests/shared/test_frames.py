"""Utterances of different lengths in one array."""

import numpy as np
import pytest

from shared.frames import Frames, joined, pad, padded_length, stack
from shared.front_ends import MFCC40
from shared.task import PAPER34


def frames(count: int, features: int = 40) -> Frames:
    return np.random.default_rng(count).standard_normal((count, features), np.float32)


@pytest.mark.parametrize(
    ("longest", "length"), [(0, 50), (1, 50), (50, 50), (51, 100), (999, 1000), (1000, 1000)]
)
def test_a_varying_length_is_a_multiple_of_fifty(longest: int, length: int) -> None:
    assert padded_length(longest, MFCC40) == length
    assert padded_length(longest, PAPER34) == 100


def test_utterances_are_padded_to_the_longest() -> None:
    utterances = [frames(count) for count in (7, 120, 1)]
    stacked = stack(utterances, MFCC40)
    assert stacked.shape == (3, 150, 40)
    assert stacked.dtype == np.float32
    for padded, own in zip(stacked, utterances, strict=True):
        np.testing.assert_array_equal(padded[: len(own)], own)
        assert not padded[len(own) :].any()


def test_what_is_longer_than_may_be_is_cut() -> None:
    np.testing.assert_array_equal(pad(frames(1200), MFCC40), frames(1200)[:1000])
    np.testing.assert_array_equal(stack([frames(120, 34)], PAPER34)[0], frames(120, 34)[:100])


def test_no_utterances_are_an_array_too() -> None:
    assert stack([], MFCC40).shape == (0, 50, 40)
    assert stack([], PAPER34).shape == (0, 100, 34)


def test_arrays_of_different_lengths_are_joined_as_if_stacked_together() -> None:
    utterances = [frames(count) for count in (7, 120, 1, 300)]
    parts = [stack(utterances[:3], MFCC40), stack(utterances[3:], MFCC40)]
    np.testing.assert_array_equal(joined(parts), stack(utterances, MFCC40))
