"""From utterances to each client's examples."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge_client.learning.voice_fitting import fit_voice
from edge_client.simulation.data import divide, prepare, split
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Utterances, load_utterances
from shared.corpora import Clip, load_corpus
from shared.errors import CorpusError, SettingsError
from shared.features.voice import VoiceStatistics
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.task import DEFAULT_TASK, FrontEndShape
from shared.training import Examples
from tests.edge_client.tiny import utterances


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse(values)


@given(
    speakers=st.integers(3, 30),
    each=st.integers(1, 5),
    folds=st.integers(3, 8),
    validation=st.booleans(),
    data=st.data(),
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_no_speaker_is_in_two_parts(
    *, speakers: int, each: int, folds: int, validation: bool, data: st.DataObject
) -> None:
    folds = min(folds, speakers)
    fold = data.draw(st.integers(1, folds))
    whole = utterances(speakers, each)
    parts = split(whole, simulation(folds=folds, fold=fold, validation=validation))
    groups = [set(whole.speakers[part]) for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == speakers
    assert groups[0]
    assert groups[2]
    assert bool(groups[1]) == validation
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(speakers * each))


def test_each_speaker_is_tested_once_over_the_folds() -> None:
    whole = utterances(24, 2)
    tests = [split(whole, simulation(fold=fold)).test for fold in range(1, 7)]
    assert sorted(np.concatenate(tests)) == list(range(48))
    validations = [split(whole, simulation(fold=fold)).validation for fold in range(1, 7)]
    for fold in range(6):
        assert validations[fold].tolist() == tests[(fold + 1) % 6].tolist()


def test_the_paper_s_test_is_that_of_scikit_learn() -> None:
    from sklearn.model_selection import train_test_split

    for count in (60, 61, 4936):
        whole = Utterances(utterances(1, 1).examples, np.repeat("a", count), ())
        parts = split(whole, simulation(protocol="paper", validation=False))
        _, test = train_test_split(np.arange(count), test_size=0.1, random_state=42)
        assert parts.test.tolist() == sorted(test)
        assert len(parts.validation) == 0
        assert sorted([*parts.train, *parts.test]) == list(range(count))


def test_the_paper_s_validation_split_varies_with_the_seed_but_not_its_test() -> None:
    whole = utterances(10, 10)
    one = split(whole, simulation(protocol="paper"))
    other = split(whole, simulation(protocol="paper", seed=1))
    assert one.test.tolist() == other.test.tolist()
    assert one.validation.tolist() != other.validation.tolist()
    assert sorted([*one.train, *one.validation, *one.test]) == list(range(100))


@pytest.mark.parametrize(
    ("speakers", "values", "sentence"),
    [
        (5, {}, "5 speakers cannot be divided into 6 folds"),
        (1, {}, "1 speakers cannot be divided into 6 folds"),
        (5, {"folds": 2}, "Two folds leave no speakers for validation"),
        (6, {"partition": "speaker", "clients": 5}, "4 speakers in the training examples"),
        (6, {"clients": 41}, "40 training examples are not enough for 41 clients"),
    ],
)
def test_too_few_are_told(speakers: int, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        divide(utterances(speakers, 10), simulation(**values))
    assert caught.value.remedy


def test_a_lone_speaker_is_told_what_is_possible() -> None:
    with pytest.raises(SettingsError) as caught:
        split(utterances(1, 10), simulation())
    assert caught.value.remedy == "Give --protocol paper."
    split(utterances(1, 10), simulation(protocol="paper"))


def test_clients_hold_the_training_set_and_labels_stay_with_their_features() -> None:
    whole = utterances(12, 8)
    mark = np.arange(96, dtype=np.float32)
    whole.examples.features[:, 0, 33] = mark
    data = prepare(whole, simulation(normalisation="none", clients=5))
    seen = []
    for client in data.clients:
        marks = client.features[:, 0, 33].astype(int)
        assert client.labels.tolist() == whole.examples.labels[marks].tolist()
        assert client.frames.tolist() == whole.examples.frames[marks].tolist()
        seen += marks.tolist()
    parts = split(whole, simulation())
    assert sorted(seen) == parts.train.tolist()
    assert data.test.features[:, 0, 33].astype(int).tolist() == parts.test.tolist()
    assert data.clients.counts(DEFAULT_TASK).sum() == len(parts.train)
    assert len(data.clients[1:3]) == 2
    assert data.clients.counts(DEFAULT_TASK).shape == (5, 4)


def test_the_speaker_partition_has_one_client_a_speaker() -> None:
    assert len(prepare(utterances(12, 4), simulation(partition="speaker")).clients) == 8


def test_the_baseline_is_one_client_with_all_of_it() -> None:
    whole = utterances(12, 4)
    data = prepare(whole, simulation(baseline=True))
    assert len(data.clients) == 1
    federated = prepare(whole, simulation(partition="quantity"))
    assert len(data.clients[0]) == sum(map(len, federated.clients))
    np.testing.assert_array_equal(data.test.features, federated.test.features)


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
    model = fit_voice(own.features[:, 0], own.labels, whole.speakers[train], 4)
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


def test_another_corpus_to_test_on() -> None:
    here, there = utterances(6, 4), utterances(3, 4, seed=1)
    both = Utterances(
        replace(
            here.examples,
            features=np.concatenate([here.examples.features, there.examples.features]),
            frames=np.concatenate([here.examples.frames, there.examples.frames]),
            labels=np.concatenate([here.examples.labels, there.examples.labels]),
        ),
        np.concatenate([here.speakers, there.speakers]),
        (),
        foreign=12,
    )
    parts = split(both, simulation())
    assert parts.test.tolist() == list(range(24, 36))
    assert sorted([*parts.train, *parts.validation]) == list(range(24))


@pytest.fixture
def few_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Clip]:
    """Let the synthetic corpus be eight clips."""
    clips = list(load_corpus("synthetic", speakers=2, clips_per_speaker=4).clips)
    corpus = replace(load_corpus("synthetic"), clips=tuple(clips))
    monkeypatch.setattr("edge_client.simulation.utterances.load_corpus", lambda *_, **__: corpus)
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    return clips


def test_utterances_of_a_corpus(few_clips: list[Clip]) -> None:
    loaded = load_utterances(simulation())
    assert len(loaded.examples) == len(few_clips)
    assert loaded.speakers.tolist() == [f"synthetic {clip.speaker}" for clip in few_clips]
    loaded.examples.check(DEFAULT_TASK)


def test_speakers_of_two_manifests_are_not_the_same(few_clips: list[Clip]) -> None:
    loaded = load_utterances(
        simulation(corpus="manifest", data="a.csv", test_corpus="manifest", test_data="b.csv")
    )
    count = len(few_clips)
    assert loaded.foreign == count
    assert len(loaded.examples) == 2 * count
    here, there = set(loaded.speakers[:count].tolist()), set(loaded.speakers[count:].tolist())
    assert here == {f"manifest {clip.speaker}" for clip in few_clips}
    assert len(there) == len(here)
    assert not here & there


def test_speakers_of_another_corpus_keep_their_names(few_clips: list[Clip]) -> None:
    loaded = load_utterances(simulation(corpus="emodb", data="x", test_corpus="synthetic"))
    names = {f"synthetic {clip.speaker}" for clip in few_clips}
    assert set(loaded.speakers[-len(few_clips) :].tolist()) == names


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"test_corpus": "synthetic"}, "test_corpus is the synthetic that is trained on"),
        (
            {"corpus": "emodb", "data": "x", "test_corpus": "emodb", "test_data": "x/../x"},
            "test_corpus is the emodb that is trained on",
        ),
        ({"test_data": "x"}, "test_data says where the test_corpus lies, but none is given"),
    ],
)
def test_a_test_that_is_none_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        simulation(**values)


def test_a_missing_emotion_is_named(few_clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(clip for clip in few_clips if clip.label not in ("happy", "sad"))
    corpus = replace(load_corpus("synthetic"), clips=left)
    monkeypatch.setattr("edge_client.simulation.utterances.load_corpus", lambda *_, **__: corpus)
    with pytest.raises(CorpusError, match="synthetic has no clip labelled happy or sad") as caught:
        load_utterances(simulation())
    assert caught.value.remedy
