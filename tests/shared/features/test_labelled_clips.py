"""Normalising labelled clips as devices do."""

from dataclasses import replace

import numpy as np
import pytest

from shared.features import labelled_clips
from shared.features.labelled_clips import normalised_by_owner
from shared.features.normalisation import RunningStatistics
from shared.features.statistics import remembering
from shared.features.voice import VoiceStatistics
from shared.front_ends import FRONT_ENDS
from shared.training import Examples
from tests.edge_client.device.pooled import POOLED
from tests.edge_client.tiny import examples
from tests.shared.features.voice_models import expressions, said, voice_model, voice_of

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


def test_where_it_is_recognised_it_is_told_how_the_owner_shows_emotions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = replace(voice_model(), expressions=expressions())
    labels = np.repeat(np.arange(3), 10)
    clips = Examples(said(model, voice_of(model), labels)[:, None], np.ones(30, np.int64), labels)
    owners, known = np.repeat("anna", 30), np.arange(30) != 4
    statistics = VoiceStatistics(model)
    statistics.update(clips.features[known, 0])
    found = normalised_by_owner(clips, owners, POOLED, known, model, recognised=True)
    expected = remembering(statistics, clips.features[known]).normalise(clips.features, 1)
    np.testing.assert_allclose(found.features, expected, atol=1e-6)
    plain = normalised_by_owner(clips, owners, POOLED, known, model)
    np.testing.assert_allclose(plain.features, statistics.normalise(clips.features, 1), atol=1e-6)
    assert not np.allclose(found.features, plain.features, atol=1e-3)
    monkeypatch.setattr(labelled_clips, "MOST", 16)
    found = normalised_by_owner(clips, owners, POOLED, known, model, recognised=True)
    some = np.flatnonzero(known)[np.linspace(0, 28, 16).astype(int)]
    assert set(labels[some]) == {0, 1, 2}, "corpora lie by emotions"
    expected = remembering(statistics, clips.features[some]).normalise(clips.features, 1)
    np.testing.assert_allclose(found.features, expected, atol=1e-6)
