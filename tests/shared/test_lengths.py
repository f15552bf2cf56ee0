"""How long utterances are made, and which of their frames count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.architectures import architecture_of
from shared.frames import STEP
from shared.lengths import model_length, padded, shares
from shared.task import DEFAULT_TASK, FrontEndShape, Task

VARYING = Task(DEFAULT_TASK.labels, FrontEndShape("mfcc40", 1, 1000, 40, variable=True))
TDNN = architecture_of("tdnn", VARYING)
FIXED = architecture_of("tdnn", DEFAULT_TASK)


def lengths(*frames: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(frames, np.int32)


@pytest.mark.parametrize(("longest", "length"), [(1, 50), (50, 50), (51, 100), (970, 1000)])
def test_there_is_room_for_the_longest(longest: int, length: int) -> None:
    assert model_length(TDNN, lengths(1, longest)) == length
    assert model_length(FIXED, lengths(1, longest)) == 100


def test_it_sees_as_far_as_its_convolutions_reach() -> None:
    assert TDNN.reach == 1 + 4 + 2 * 2 + 2 * 3


@given(st.lists(st.integers(1, 120), min_size=1, max_size=6))
def test_shares_are_equal_over_frames_whose_whole_field_is_true(frames: list[int]) -> None:
    model = TDNN.at(model_length(TDNN, lengths(*frames)))
    found = shares(model, lengths(*frames))
    assert found.shape == (len(frames), model.frames - TDNN.reach + 1)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    for row, true in zip(found, frames, strict=True):
        counting = max(true - TDNN.reach + 1, 1)
        assert (row > 0).tolist() == [True] * counting + [False] * (len(row) - counting)
        assert len(set(row[:counting].tolist())) == 1


def test_more_frames_than_there_is_room_for_count_as_all() -> None:
    found = shares(FIXED, lengths(100, 120))
    assert np.array_equal(found[0], found[1])


def test_zeros_lie_behind_an_utterance_whatever_was_there() -> None:
    features = np.random.default_rng(0).standard_normal((3, 70, 4), np.float32)
    for length in (60, 70, 2 * STEP):
        found = padded(features, lengths(5, 60, 1), length)
        assert found.shape == (3, length, 4)
        for was, row, true in zip(features, found, (5, 60, 1), strict=True):
            assert np.array_equal(row[:true], was[:true])
            assert not row[true:].any()
