"""Normalising labelled clips as devices do."""

import numpy as np
import pytest

from shared.features.labelled_clips import normalised_by_owner
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from tests.edge_client.tiny import examples

PAPER = FRONT_ENDS.get("paper34")
RAW = examples(12, 3)
OWNERS = np.array(["anna", "ben", "cleo"] * 4)


@pytest.mark.parametrize("most", [12, 5])
def test_each_is_normalised_by_what_its_owner_s_device_knows(most: int) -> None:
    known = np.arange(12) < most
    found = normalised_by_owner(RAW, OWNERS, PAPER, known)
    for place, owner in enumerate(OWNERS):
        statistics = RunningStatistics(PAPER)
        for other in np.flatnonzero((owner == OWNERS) & known):
            statistics.update(RAW.features[other, : RAW.frames[other]])
        expected = statistics.normalise(RAW.features[[place]], RAW.frames[[place]])
        assert found.features[place].tobytes() == expected[0].tobytes()
    assert found.labels is RAW.labels
    assert found.frames is RAW.frames


def test_all_of_them_are_known_unless_told_and_what_is_given_stays() -> None:
    before = RAW.features.tobytes()
    everything = normalised_by_owner(RAW, OWNERS, PAPER, np.ones(12, np.bool_))
    assert (
        normalised_by_owner(RAW, OWNERS, PAPER).features.tobytes() == everything.features.tobytes()
    )
    assert RAW.features.tobytes() == before
