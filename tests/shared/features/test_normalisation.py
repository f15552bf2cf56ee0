import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.features.normalisation import RunningStatistics
from shared.frames import CLIP
from shared.front_ends import FRONT_ENDS
from shared.task import PAPER34

Frames = NDArray[np.float32]

PAPER = FRONT_ENDS.get("paper34")
FRAMES, FEATURES, FEWEST_FRAMES = PAPER34.frames, PAPER34.features, 10


def random_frames(count: int, seed: int = 0, offset: float = 0.0) -> Frames:
    scale = np.logspace(-3, 2, FEATURES)
    frames = np.random.default_rng(seed).standard_normal((count, FEATURES)) * scale
    return (frames + offset).astype(np.float32)


def statistics_of(*batches: Frames) -> RunningStatistics:
    statistics = RunningStatistics(PAPER)
    for batch in batches:
        statistics.update(batch)
    return statistics


def assert_describes(statistics: RunningStatistics, frames: Frames) -> None:
    exact = frames.astype(np.float64)
    assert statistics.count == len(frames)
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(statistics.std, exact.std(axis=0), rtol=1e-9, atol=1e-12)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 99))
def test_batches_of_any_size_add_up(sizes: list[int], seed: int) -> None:
    frames = random_frames(sum(sizes) + 1, seed)
    batches = np.split(frames, np.cumsum(sizes))
    assert_describes(statistics_of(*batches), frames)


def test_no_frames_change_nothing() -> None:
    statistics = statistics_of(random_frames(20))
    before = statistics.to_dict()
    statistics.update(random_frames(0))
    assert statistics.to_dict() == before


def test_variance_survives_a_large_mean() -> None:
    # A sum of squares, instead of deviations, would have lost it.
    frames = random_frames(500, offset=0)
    frames[:, 0] = np.resize(np.array([9_999.5, 10_000.5], np.float32), 500)
    assert statistics_of(*np.split(frames, 50)).std[0] == pytest.approx(0.5, rel=1e-9)


def test_true_frames_become_standard_and_padding_stays_zero() -> None:
    features = random_frames(5 * FRAMES, offset=2).reshape(5, FRAMES, FEATURES)
    frames = np.array([100, 50, 1, 0, 99], np.int32)
    for utterance, count in zip(features, frames, strict=True):
        utterance[count:] = 0
    statistics = statistics_of(*[f[:n] for f, n in zip(features, frames, strict=True)])
    normalised = statistics.normalise(features, frames)
    assert normalised.dtype == np.float32
    assert normalised.shape == features.shape
    true = np.concatenate([f[:n] for f, n in zip(normalised, frames, strict=True)])
    np.testing.assert_allclose(true.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(true.std(axis=0), 1, atol=1e-3)
    for utterance, count in zip(normalised, frames, strict=True):
        assert not utterance[count:].any()


def test_one_utterance_is_normalised_like_many() -> None:
    features = random_frames(2 * FRAMES).reshape(2, FRAMES, FEATURES)
    statistics = statistics_of(features[0])
    both = statistics.normalise(features, np.array([30, 60]))
    np.testing.assert_array_equal(statistics.normalise(features[1], 60), both[1])
    np.testing.assert_array_equal(
        statistics.normalise(features[None], np.array([[30, 60]]))[0], both
    )


def test_outliers_are_kept_within_bounds() -> None:
    statistics = statistics_of(random_frames(50))
    features = np.zeros((FRAMES, FEATURES), np.float32)
    features[0], features[1] = 1e30, -1e30
    normalised = statistics.normalise(features, 2)
    assert (normalised[0] == CLIP).all()
    assert (normalised[1] == -CLIP).all()


def test_feature_that_never_changes_stays_small() -> None:
    statistics = statistics_of(np.full((50, FEATURES), -30.1, np.float32))
    features = np.full((FRAMES, FEATURES), np.nextafter(np.float32(-30.1), np.float32(0)))
    assert np.abs(statistics.normalise(features, FRAMES)).max() < 0.1


@pytest.mark.parametrize("count", [0, 1, FEWEST_FRAMES - 1])
def test_too_few_frames_leave_features_as_they_are(count: int) -> None:
    features = random_frames(FRAMES)
    before = features.copy()
    normalised = statistics_of(random_frames(count, seed=1)).normalise(features, FRAMES)
    np.testing.assert_array_equal(normalised, before)
    normalised[:] = 0
    np.testing.assert_array_equal(features, before)


@given(st.integers(0, 60), st.integers(0, 99))
def test_state_is_exact_after_a_round_trip(count: int, seed: int) -> None:
    statistics = statistics_of(random_frames(count, seed))
    restored = RunningStatistics.from_dict(json.loads(json.dumps(statistics.to_dict())), PAPER)
    assert restored.to_dict() == statistics.to_dict()
    more, features = random_frames(7, seed + 1), random_frames(FRAMES, seed + 2)
    statistics.update(more)
    restored.update(more)
    assert (
        restored.normalise(features, 60).tobytes() == statistics.normalise(features, 60).tobytes()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"count": None},
        {"count": -1},
        {"count": "many"},
        {"count": float("inf")},
        {"mean": [0.0] * 33},
        {"mean": None},
        {"mean": [[0.0] * 34]},
        {"m2": [float("nan")] * 34},
        {"m2": [-1.0] * 34},
        {"m2": ["x"] * 34},
    ],
)
def test_damaged_state_is_refused(change: dict[str, object]) -> None:
    state = statistics_of(random_frames(20)).to_dict()
    with pytest.raises(ValueError, match=r".+"):
        RunningStatistics.from_dict(state | change, PAPER)
    with pytest.raises(ValueError, match="not running statistics"):
        RunningStatistics.from_dict({key: state[key] for key in state if key not in change}, PAPER)


def test_bad_frames_leave_the_statistics_as_they_are() -> None:
    statistics = statistics_of(random_frames(20))
    before = statistics.to_dict()
    bad = random_frames(5)
    bad[3, 3] = np.nan
    for frames in (bad, random_frames(5)[:, :33], random_frames(5)[0], random_frames(5)[None]):
        with pytest.raises(ValueError, match="frames should"):
            statistics.update(frames)
    assert statistics.to_dict() == before


@pytest.mark.parametrize(("name", "fewest"), [("paper34", 10), ("mfcc40", 100)])
def test_a_second_of_frames_of_any_front_end_is_enough(name: str, fewest: int) -> None:
    front_end = FRONT_ENDS.get(name)
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((fewest, front_end.shape.features), np.float32) + 5
    statistics = RunningStatistics(front_end)
    statistics.update(frames[:-1])
    np.testing.assert_array_equal(statistics.normalise(frames, fewest), frames)
    statistics.update(frames[-1:])
    normalised = statistics.normalise(np.pad(frames, ((0, 30), (0, 0))), fewest)
    np.testing.assert_allclose(normalised[:fewest].mean(axis=0), 0, atol=1e-3)
    assert not normalised[fewest:].any()


def test_the_statistics_of_another_front_end_are_refused() -> None:
    state = RunningStatistics(PAPER).to_dict()
    with pytest.raises(ValueError, match="should be 40 finite means"):
        RunningStatistics.from_dict(state, FRONT_ENDS.get("mfcc40"))
