"""What is held out stays held out, whatever comes or goes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.federation.held_out import FEWEST_HELD_OUT, count_trained_on, hold_out
from shared.training import Examples
from tests.edge_client.tiny import examples


def keyed(keys: list[int]) -> Examples:
    plain = examples(len(keys), 0)
    return Examples(plain.features, plain.frames, plain.labels, np.array(keys, np.int64))


def keys_of(some: Examples) -> set[int]:
    assert some.keys is not None
    return set(some.keys.tolist())


@given(
    kept=st.sets(st.integers(0, 500), min_size=FEWEST_HELD_OUT, max_size=60),
    more=st.sets(st.integers(0, 500), max_size=30),
)
def test_what_was_trained_on_never_scores_whatever_comes_or_goes(
    kept: set[int], more: set[int]
) -> None:
    trained, held_out = map(keys_of, hold_out(keyed(sorted(kept)), 0.2))
    assert trained | held_out == kept
    later, later_held_out = map(keys_of, hold_out(keyed(sorted(kept | more)), 0.2))
    assert not later_held_out & trained
    assert not held_out & later


@given(keys=st.sets(st.integers(0, 500), max_size=60), share=st.sampled_from([0, 0.2, 0.5]))
def test_what_is_trained_on_can_be_counted_by_keys_alone(keys: set[int], share: float) -> None:
    trained, _ = hold_out(keyed(sorted(keys)), share)
    assert count_trained_on(keys, share) == len(trained)


def test_guesses_are_trained_on_and_never_score() -> None:
    trained, held_out = map(keys_of, hold_out(keyed([*range(1, 41), *range(-40, 0)]), 0.5))
    assert held_out
    assert min(held_out) > 0
    assert set(range(-40, 0)) <= trained
    trained, held_out = map(keys_of, hold_out(keyed([1, 2, *range(-40, 0)]), 0.5))
    assert not held_out, "two labels are too few to spare one"


def test_about_the_share_that_was_asked_for_is_held_out() -> None:
    _, held_out = hold_out(examples(1000, 0), 0.2)
    assert 150 < len(held_out) < 250


@given(
    counts=st.lists(st.integers(3, 30), min_size=2, max_size=6), share=st.sampled_from([0.2, 0.5])
)
def test_of_a_sorted_folder_each_label_has_its_share_held_out(
    counts: list[int], share: float
) -> None:
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    plain = examples(len(labels), 0)
    trained, held_out = hold_out(Examples(plain.features, plain.frames, labels), share)
    if len(labels) < FEWEST_HELD_OUT:
        assert not len(held_out)
        return
    for label, count in enumerate(counts):
        held = (held_out.labels == label).sum()
        assert held == pytest.approx(share * count, abs=0.5)
        assert held > 0
        assert (trained.labels == label).sum() == count - held
