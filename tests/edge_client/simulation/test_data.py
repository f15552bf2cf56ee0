"""From utterances to each client's examples."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge_client.simulation.data import divide, prepare, split
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Utterances
from shared.errors import SettingsError
from shared.task import DEFAULT_TASK
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
        (1, {}, "1 speaker cannot be divided into 6 folds"),
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


@pytest.mark.parametrize("protocol", ["speakers", "paper"])
def test_one_speaker_may_teach_where_another_corpus_is_the_test(protocol: str) -> None:
    joined = utterances(4, 8)
    both = replace(joined, foreign=24)
    parts = split(both, simulation(validation=False, protocol=protocol))
    assert parts.train.tolist() == list(range(8))
    assert parts.validation.tolist() == []
    assert parts.test.tolist() == list(range(8, 32))


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
