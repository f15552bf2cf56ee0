"""Normalisation of a corpus: whose statistics, and what they leave alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_client.learning.voice_fitting import fit_voices
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.utterances import Copies, Utterances
from shared.errors import SettingsError
from shared.features.labelled_clips import normalised_by_owner
from shared.features.voice import VoiceStatistics
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.task import FrontEndShape
from shared.training import Examples
from tests.edge_client.tiny import utterances


def test_normalisation_none_changes_nothing() -> None:
    whole = utterances(4, 4)
    same = normalise(whole, np.arange(8), "none", FRONT_ENDS.get("paper34"))
    np.testing.assert_array_equal(same.features, whole.examples.features)


def inside(whole: Utterances, features: np.ndarray[Any, Any], where: Any) -> np.ndarray[Any, Any]:
    """Gather the true frames of some utterances."""
    frames = whole.examples.frames
    return np.concatenate([features[index, : frames[index]] for index in where])


def test_normalisation_corpus_uses_the_training_set_only() -> None:
    whole = utterances(6, 8)
    train = np.arange(24)
    normal = normalise(whole, train, "corpus", FRONT_ENDS.get("paper34"))
    known = inside(whole, normal.features, train)
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(known.std(0), 1, atol=1e-2)
    louder = replace(whole.examples, features=whole.examples.features.copy())
    louder.features[24:] *= 10
    again = normalise(replace(whole, examples=louder), train, "corpus", FRONT_ENDS.get("paper34"))
    np.testing.assert_array_equal(again.features[:24], normal.features[:24])


def test_normalisation_device_uses_each_speaker_s_own() -> None:
    whole = utterances(6, 8)
    whole.examples.features[8:16] = whole.examples.features[8:16] * 5
    normal = normalise(whole, np.arange(24), "device", FRONT_ENDS.get("paper34"))
    for speaker in range(6):
        own = inside(whole, normal.features, range(speaker * 8, speaker * 8 + 8))
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(own.std(0), 1, atol=1e-2)


def pooled(speakers: int, each: int) -> tuple[Utterances, FrontEnd]:
    """Make utterances of one vector each, and the front end that gives such."""
    whole = utterances(speakers, each)
    examples = Examples(
        whole.examples.features[:, :1],
        np.ones(speakers * each, np.int32),
        whole.examples.labels,
    )
    shape = FrontEndShape("pooled", version=1, frames=1, features=34)
    front_end = FrontEnd(shape, None, lambda samples: samples[None, :34])
    return replace(whole, examples=examples), front_end


def test_normalisation_voice_tells_each_speaker_s_voice_by_the_training_set() -> None:
    whole, front_end = pooled(6, 8)
    train = np.arange(24)
    found = normalise(whole, train, "voice", front_end)
    own = whole.examples.take(train)
    speakers = whole.speakers[train]
    model = fit_voices(own.features[:, 0], own.labels, speakers, speakers, 4).model
    for speaker in range(6):
        where = np.arange(speaker * 8, speaker * 8 + 8)
        statistics = VoiceStatistics(model)
        statistics.update(whole.examples.features[where, 0])
        expected = statistics.normalise(whole.examples.features[where], 1)
        np.testing.assert_array_equal(found.features[where], expected)


def test_voices_are_not_told_from_moods_in_frames() -> None:
    with pytest.raises(SettingsError, match="one vector an utterance; paper34 gives") as caught:
        normalise(utterances(4, 4), np.arange(8), "voice", FRONT_ENDS.get("paper34"))
    assert "--normalisation device" in caught.value.remedy


@pytest.mark.parametrize("how", ["corpus", "device"])
def test_frames_behind_the_end_stay_zero(how: str) -> None:
    whole = utterances(4, 4)
    normal = normalise(whole, np.arange(8), how, FRONT_ENDS.get("paper34"))
    behind = np.arange(100) >= whole.examples.frames[:, None]
    assert not normal.features[behind].any()


def heard_elsewhere(whole: Utterances) -> Utterances:
    """Copy all utterances, as other devices hear them: three times as much, and more."""
    examples = whole.examples
    louder = replace(examples, features=examples.features * np.float32(3) + np.float32(20))
    names = np.char.add(whole.speakers, " elsewhere")
    return replace(whole, copies=Copies(louder, np.arange(len(examples)), names))


def test_what_was_heard_elsewhere_is_normalised_as_a_device_there_does() -> None:
    plain, front_end = pooled(6, 8)
    whole, count = heard_elsewhere(plain), len(plain.examples)
    normal = normalise(whole, np.arange(24), "device", front_end)
    alone = normalise(plain, np.arange(24), "device", front_end)
    np.testing.assert_array_equal(normal.features[:count], alone.features)
    np.testing.assert_allclose(normal.features[count:], alone.features, atol=1e-4)


def test_a_voice_model_knows_what_was_heard_elsewhere_of_the_training_set_alone() -> None:
    plain, front_end = pooled(6, 8)
    train = np.arange(24)
    whole = heard_elsewhere(plain)
    normal = normalise(whole, train, "voice", front_end)
    assert (normal.features[:24] != normalise(plain, train, "voice", front_end).features[:24]).any()
    assert whole.copies is not None
    whole.copies.examples.features[24:] += 5  # of speakers who are not trained on
    again = normalise(whole, train, "voice", front_end)
    np.testing.assert_array_equal(again.features[:48], normal.features[:48])


def test_a_voice_model_takes_nobody_for_a_stranger_who_was_heard_elsewhere() -> None:
    plain, front_end = pooled(8, 24)
    whole, train, test = heard_elsewhere(plain), np.arange(144), np.arange(144, 192)
    found = normalise(whole, train, "voice", front_end, recognised=True)
    assert whole.copies is not None
    vectors = np.concatenate(
        [own.features[train, 0] for own in (plain.examples, whole.copies.examples)]
    )
    devices = np.concatenate([plain.speakers[train], whole.copies.speakers[train]])
    labels, people = np.tile(plain.examples.labels[train], 2), np.tile(plain.speakers[train], 2)
    wanted = fit_voices(vectors, labels, devices, people, 4).model
    alone = fit_voices(vectors, labels, devices, devices, 4).model
    raw, owners = plain.examples.take(test), plain.speakers[test]
    expected, other = (
        normalised_by_owner(raw, owners, front_end, begun=model, recognised=True).features
        for model in (wanted, alone)
    )
    np.testing.assert_array_equal(found.features[test], expected)
    assert (expected != other).any()
