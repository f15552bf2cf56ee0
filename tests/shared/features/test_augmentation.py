"""Augmentation of normalised features."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.features.augmentation import SHIFT, augment
from shared.front_ends import FRONT_ENDS

PAPER = FRONT_ENDS.get("paper34")


@given(seed=st.integers(0, 2**32), frames=st.lists(st.integers(1, 100), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_it_keeps_what_features_are(seed: int, frames: list[int]) -> None:
    lengths = np.array(frames, np.int32)
    rng = np.random.default_rng(seed)
    inside = np.arange(100)[:, None] < lengths[:, None, None]
    features = rng.standard_normal((len(frames), 100, 34), np.float32) * inside
    before = features.copy()
    varied = augment(features, lengths, np.random.default_rng(seed), PAPER)
    assert varied.shape == features.shape
    assert varied.dtype == np.float32
    assert np.isfinite(varied).all()
    np.testing.assert_array_equal(features, before)
    behind = np.arange(100)[:, None] >= lengths[:, None, None] + round(SHIFT / 0.1)
    assert not varied[np.broadcast_to(behind, varied.shape)].any()
    again = augment(features, lengths, np.random.default_rng(seed), PAPER)
    np.testing.assert_array_equal(varied, again)


def test_utterances_vary_each_in_its_own_way() -> None:
    features = np.ones((2, 100, 34), np.float32)
    varied = augment(features, np.full(2, 100, np.int32), np.random.default_rng(0), PAPER)
    assert not np.array_equal(varied[0], varied[1])


def test_the_utterance_is_still_to_be_recognised() -> None:
    rng = np.random.default_rng(0)
    features = np.repeat(rng.standard_normal((200, 1, 34), np.float32), 100, axis=1)
    varied = augment(features, np.full(200, 100, np.int32), rng, PAPER)
    mean = varied.mean(1)
    likeness = [np.corrcoef(a, b)[0, 1] for a, b in zip(mean, features[:, 0], strict=True)]
    assert np.median(likeness) > 0.8


def test_times_are_as_many_frames_as_the_hop_says() -> None:
    mfcc = FRONT_ENDS.get("mfcc40")
    assert round(SHIFT / 0.01) == mfcc.frames_of(SHIFT) == 50
    features = np.zeros((400, 300, 40), np.float32)
    features[:, 100:200] = 1000
    varied = augment(features, np.full(400, 200, np.int32), np.random.default_rng(0), mfcc)
    first = (np.abs(varied).max(axis=2) > 100).argmax(axis=1)
    assert 50 <= first.min() < 55
    assert first.max() >= 145
