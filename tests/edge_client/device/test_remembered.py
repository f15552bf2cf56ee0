"""Devices that go by how their person shows emotions, as what they keep tells it."""

import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.model import Model
from edge_client.device.personalising import Learning
from edge_client.device.remembered import Remembered
from edge_client.device.store import ExampleStore
from edge_client.recogniser import Recogniser
from shared.architectures import architecture_of
from shared.errors import StorageError
from shared.features.expression import FEWEST
from shared.features.statistics import expression_of, knowing, remembering
from shared.features.voice import VoiceStatistics
from shared.features.voice_file import load_voice, save_voice
from shared.starter import beside
from shared.storage.files import sha256_of
from shared.task import DEFAULT_TASK, Task
from shared.weights import save_weights
from tests.brokers import BOUND, wait_until
from tests.edge_client.device.heard import Open, hear, recognised, utterance
from tests.edge_client.device.pooled import NAME, POOLED
from tests.shared.features.voice_models import expressions, voice_model

TASK = Task(DEFAULT_TASK.labels, POOLED.shape)
COUNT = FEWEST + 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model, and a voice model beside it that tells how people differ."""
    head = architecture_of("head", TASK)
    path = tmp_path / "given.safetensors"
    weights = np.random.default_rng(1).standard_normal(6 * 4 + 4, np.float32)
    save_weights(path, weights, head)
    knowing = replace(voice_model(labels=4), expressions=expressions(labels=4))
    save_voice(beside(path, "voice"), knowing, TASK)
    return path


@pytest.fixture
def device(start: Open, model: Path) -> Device:
    return opened(start, model)


def opened(start: Open, model: Path) -> Device:
    voice = beside(model, "voice")
    device = start(model=False, front_end=NAME, normalisation="voice", voice=voice)
    if device.recognising.digest is None:
        device.use_model(model, sha256_of(model), architecture_of("head", TASK))
    return device


def vectors(*seeds: int) -> np.ndarray:  # type: ignore[type-arg]  # of floats
    return np.stack([POOLED.compute(utterance(seed).samples) for seed in seeds])


def answers(device: Device, seeds: Iterable[int]) -> list[tuple[float, ...]]:
    """Let a device hear utterances; give what it makes of each."""
    return [hear(device, seed).probabilities or () for seed in seeds]


def answer(model: Path, heard: list[int], kept: list[int], seed: int) -> tuple[float, ...]:
    """Recognise the last of what was heard by what is kept of it."""
    statistics = VoiceStatistics(load_voice(beside(model, "voice"), TASK))
    for own in heard[:-1]:
        statistics.update(vectors(own)[0])
    shown = expression_of(statistics, vectors(*kept)) if kept else None
    statistics.update(vectors(heard[-1])[0])
    return Model.load(model).recognise(vectors(seed)[0], statistics, shown)


def test_a_device_goes_by_what_it_has_kept_and_a_restart_changes_nothing(
    start: Open, device: Device, model: Path
) -> None:
    found = answers(device, range(COUNT))
    for seed in (FEWEST - 1, FEWEST, COUNT - 1):
        expected = answer(model, [*range(seed + 1)], [*range(seed)], seed)
        np.testing.assert_allclose(found[seed], expected, atol=1e-6)
    alone = answer(model, [*range(COUNT)], [], COUNT - 1)
    assert not np.allclose(found[-1], alone, atol=1e-3), "it changes answers"
    device.close()
    (again,) = answers(opened(start, model), [COUNT])
    expected = answer(model, [*range(COUNT + 1)], [*range(COUNT)], COUNT)
    np.testing.assert_allclose(again, expected, atol=1e-6)


def test_what_was_discarded_or_deleted_or_imported_is_not_gone_by(
    device: Device, model: Path
) -> None:
    numbers = [hear(device, seed).identifier for seed in range(COUNT)]
    device.discard(numbers[1])
    device._store.add(replace(recognised(task=TASK), source="import"), vectors(50)[0])
    (found,) = answers(device, [COUNT])
    kept = [seed for seed in range(COUNT) if seed != 1]
    expected = answer(model, [*range(COUNT + 1)], kept, COUNT)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    device.undo()
    (found,) = answers(device, [COUNT + 1])
    expected = answer(model, [*range(COUNT + 2)], [*range(COUNT + 1)], COUNT + 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    device.delete_everything()
    (found,) = answers(device, [99])
    np.testing.assert_allclose(found, answer(model, [99], [], 99), atol=1e-6)


def test_the_newest_are_remembered_in_their_order(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(COUNT):
        hear(device, seed)
    remembered = Remembered(device._store, device.recognising)

    def found() -> list[list[float]]:
        kept = remembered.kept()
        assert kept is not None
        return kept.features.tolist()  # type: ignore[no-any-return]  # of floats

    assert found() == vectors(*range(COUNT)).tolist()
    monkeypatch.setattr("edge_client.device.remembered.MOST", 5)
    assert found() == vectors(*range(COUNT - 5, COUNT)).tolist()
    hear(device, COUNT)
    assert found() == vectors(*range(COUNT - 4, COUNT + 1)).tolist()


def test_nothing_is_read_where_nothing_tells_how_people_differ(
    start: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = tmp_path / "voice.safetensors"
    save_voice(voice, voice_model(labels=4), TASK)
    device = start(model=False, front_end=NAME, normalisation="voice", voice=voice)
    monkeypatch.setattr(device._store, "heard", None)
    hear(device)
    assert Remembered(device._store, device.recognising).kept() is None


def test_a_personal_model_learns_from_what_the_device_recognises(device: Device) -> None:
    for seed in range(COUNT):
        device.correct(hear(device, seed).identifier, TASK.names[seed % 4])
    examples, _ = device.labelled(COUNT)
    statistics = device.recognising.normalising()
    assert isinstance(statistics, VoiceStatistics)
    whole, said = vectors(*range(COUNT)), (np.arange(COUNT) % 4).astype(np.int32)
    shown = remembering(knowing(statistics, said), whole, said).normalise(whole, 1)
    np.testing.assert_array_equal(examples.features, shown)
    plain = device.examples().features
    assert not np.allclose(plain, shown), "a federation's are normalised as a simulation does"
    learner = Learning(device)
    wait_until(lambda: device.status()["model"]["personal"], "the personal model")
    learner.close()
    assert hear(device, COUNT).probabilities


def test_a_recogniser_goes_by_what_it_has_recognised(model: Path) -> None:
    recogniser = Recogniser(model)
    for seed in range(COUNT):
        found = recogniser.recognise((utterance(seed).samples, 16000))
    expected = answer(model, [*range(COUNT)], [*range(COUNT - 1)], COUNT - 1)
    np.testing.assert_allclose([*found.probabilities.values()], expected, atol=1e-4)


def test_labels_tell_it_from_the_next_answer_on(device: Device) -> None:
    remembered = Remembered(device._store, device.recognising)
    numbers = [hear(device, seed).identifier for seed in range(COUNT)]
    device.correct(numbers[2], "sad")
    kept = remembered.kept()
    assert kept is not None
    assert kept.said.tolist() == [TASK.index["sad"] if n == 2 else -1 for n in range(COUNT)]
    device.undo()
    assert (remembered.kept() or kept).said.tolist() == [-1] * COUNT


def test_a_store_that_cannot_be_read_or_is_damaged_ends_no_hearing(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [hear(device, seed).identifier for seed in range(COUNT)]
    with closing(sqlite3.connect(device._store.path)) as connection, connection:
        bad = np.full(6, np.nan, np.float32).tobytes()
        check = "UPDATE examples SET frames = ?, checksum = ? WHERE id = ?"
        connection.execute(check, (bad, crc32(bad), before[0]))
        connection.execute(check, (b"", crc32(b""), before[1]))
        connection.execute("UPDATE examples SET heard_at = 'never' WHERE id = ?", (before[2],))
    device._remembered.forget()
    assert hear(device, COUNT).probabilities

    def gone(*_: object) -> None:
        raise StorageError("The disk is gone.")

    monkeypatch.setattr(device._store, "heard", gone)
    assert hear(device, COUNT + 1).probabilities


def test_nothing_stays_in_memory_after_a_deletion(device: Device) -> None:
    for seed in range(COUNT):
        hear(device, seed)
    assert device._remembered._vectors
    device.delete_everything()
    assert not device._remembered._vectors


def test_what_another_process_discards_is_not_gone_by(device: Device, model: Path) -> None:
    numbers = [hear(device, seed).identifier for seed in range(COUNT)]
    device.look()
    with ExampleStore(device._store.path, limit_mb=1, task=TASK) as other:
        other.discard(numbers[1])
    device.look()
    kept = [seed for seed in range(COUNT) if seed != 1]
    (found,) = answers(device, [COUNT])
    expected = answer(model, [*range(COUNT + 1)], kept, COUNT)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_correction_in_the_midst_of_a_deletion_leaves_nothing_in_memory(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [hear(device, seed).identifier for seed in range(COUNT)]
    delete_all, generations = device._store.delete_all, []

    def correct_first() -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(device.correct, numbers[0], "sad").result(BOUND)
        assert device.recognising._expression is not None
        assert len(device.labelled(9)[0]) == 1
        generations.append(device.recognising.generation)
        delete_all()

    monkeypatch.setattr(device._store, "delete_all", correct_first)
    device.delete_everything()
    assert device.recognising._expression is None
    assert device.recognising.generation > generations[0], "what was learned then is not used"
