"""Devices that tell their person's voice from the mood."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device import opening
from edge_client.device.device import Device
from edge_client.device.model import Model
from edge_client.device.personalising import Learning
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.learning.personal_model import PersonalModel
from edge_client.settings import RunSettings
from shared.architectures import Architecture, architecture_of
from shared.errors import SettingsError, WeightsError
from shared.features.prior import Prior, save_prior
from shared.features.statistics import knowing
from shared.features.voice import VoiceModel, VoiceStatistics
from shared.features.voice_file import load_voice, save_voice
from shared.frames import pad
from shared.metrics import softmax
from shared.starter import beside
from shared.storage.files import sha256_of
from shared.task import DEFAULT_TASK, Task
from shared.weights import fresh_weights, save_weights
from tests.brokers import wait_until
from tests.edge_client.device.heard import Open, hear, recognised, utterance
from tests.edge_client.device.pooled import NAME, POOLED
from tests.shared.features.voice_models import voice_model

TASK = Task(DEFAULT_TASK.labels, POOLED.shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "voice.safetensors"
    save_voice(path, voice_model(labels=4), TASK)
    return path


def opened(start: Open, file: Path) -> Device:
    return start(model=False, front_end=NAME, normalisation="voice", voice=file)


def heard(model: VoiceModel, *seeds: int) -> VoiceStatistics:
    statistics = VoiceStatistics(model)
    for seed in seeds:
        statistics.update(POOLED.compute(utterance(seed).samples))
    return statistics


def test_examples_are_normalised_by_the_voice_and_a_restart_changes_nothing(
    start: Open, file: Path
) -> None:
    device = opened(start, file)
    for seed in range(3):
        device.correct(hear(device, seed).identifier, "sad")
    device.close()
    again = opened(start, file)
    hear(again, 3)
    statistics = heard(load_voice(file, TASK), 0, 1, 2, 3)
    assert again.recognising.statistics() == statistics.to_dict()
    own = np.stack([POOLED.compute(utterance(seed).samples) for seed in range(3)])
    np.testing.assert_array_equal(again.examples().features, statistics.normalise(own, 1))


def test_corrections_tell_the_voice_which_moods_were_heard(
    start: Open, tmp_path: Path, file: Path
) -> None:
    believing = replace(load_voice(file, TASK), belief=np.array([0.0, 3.0, 0.0, 0.0]))
    save_voice(file, believing, TASK)
    device = opened(start, file)
    device.use_model(*given_model(tmp_path))
    for seed, label in enumerate(TASK.names):
        device.correct(hear(device, seed).identifier, label)
    learner = Learning(device)
    wait_until(lambda: device.status()["model"]["personal"], "the personal model")
    learner.close()
    statistics = device.recognising.normalising()
    assert isinstance(statistics, VoiceStatistics)
    assert statistics.signs()[0] < 0.9, "what is inferred alone is less even"
    known = knowing(statistics, np.arange(4, dtype=np.int32))
    own = np.stack([POOLED.compute(utterance(seed).samples) for seed in range(4)])
    np.testing.assert_array_equal(device.examples().features, statistics.normalise(own, 1))
    np.testing.assert_array_equal(device.labelled(4)[0].features, known.normalise(own, 1))
    model = Model.load(DeviceFolder(tmp_path / "state").model)
    examples, told = device.labelled(4)
    logits = np.stack([model.logits(each, 1) for each in examples.features])
    model.personal = PersonalModel.fit(examples, logits, told=told)
    new = POOLED.compute(utterance(9).samples)
    features = known.normalise(pad(new, POOLED.shape), 1)
    alone = model.logits(features, 1)[None]
    expected = softmax(model.personal.logits(features[None], np.array([1]), alone)[0])
    found = np.array(device.recognising.recognise(new, known=True))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_imported_labels_do_not_tell_of_moods_that_were_never_heard(
    start: Open, file: Path
) -> None:
    device = opened(start, file)
    device.correct(hear(device, 5).identifier, "sad")
    imported = replace(recognised(task=TASK), source="import")
    for seed, label in enumerate(TASK.names):
        own = POOLED.compute(utterance(seed).samples)
        device._store.label(device._store.add(imported, own), label)
    examples, told = device.labelled(9)
    assert len(examples) == 5
    assert told.tolist() == [TASK.index["sad"]]


@pytest.mark.parametrize(
    "damage",
    [
        "{{{",
        {},
        {"count": -1},
        {"total": [float("nan")] * 4},
        {"total": [1e300] * 4},
        {"sums": [1]},
    ],
    ids=str,
)
def test_a_damaged_voice_is_worked_out_anew_and_said(
    start: Open, file: Path, damage: str | dict[str, object]
) -> None:
    device = opened(start, file)
    for seed in range(3):
        hear(device, seed)
    kept = device.recognising.statistics()
    name, database = device._store._statistics_name, device._store.path
    device.close()
    spoilt = damage if isinstance(damage, str) else json.dumps(damage and kept | damage)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE facts SET value = ? WHERE name = ?", (spoilt, name))
    again = opened(start, file)
    assert "is worked out anew from the 3 utterances that are kept" in (again.problem or "")
    hear(again, 3)
    assert again.recognising.statistics() == heard(load_voice(file, TASK), 0, 1, 2, 3).to_dict()
    again.close()
    assert opened(start, file).problem is None


def test_another_voice_model_begins_with_the_utterances_that_were_kept(
    start: Open, file: Path
) -> None:
    device = opened(start, file)
    for seed in range(3):
        hear(device, seed)
    device.close()
    other = voice_model(labels=4, coordinates=3)
    save_voice(file, other, TASK)
    again = opened(start, file)
    assert again.problem is None
    assert again.recognising.statistics() == heard(load_voice(file, TASK), 0, 1, 2).to_dict()
    assert again.recognising.statistics()["model"] != device.recognising.statistics()["model"]


def test_forgetting_forgets_the_voice(start: Open, file: Path) -> None:
    device = opened(start, file)
    hear(device)
    device.delete_everything()
    assert device.recognising.statistics()["count"] == 0


def test_a_voice_model_of_another_task_is_refused(start: Open, file: Path) -> None:
    with pytest.raises(WeightsError, match="of another task"):
        start(model=False, normalisation="voice", voice=file)


@pytest.mark.parametrize("given", [{"normalisation": "voice"}, {"voice": Path("voice")}])
def test_the_normalisation_and_its_model_go_together(given: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="go together"):
        DeviceSettings.parse(given)


def given_model(tmp_path: Path) -> tuple[Path, str, Architecture]:
    """Write a model of the task; give what :meth:`Device.use_model` takes."""
    head = architecture_of("head", TASK)
    path = tmp_path / "given.safetensors"
    save_weights(path, fresh_weights(head, 1), head)
    return path, sha256_of(path), head


def test_a_voice_model_that_comes_with_a_model_is_used_and_kept(
    start: Open, tmp_path: Path, file: Path
) -> None:
    device = start(model=False, front_end=NAME)
    hear(device, 0)
    device.use_model(*given_model(tmp_path), begun=file)
    hear(device, 1)
    expected = heard(load_voice(file, TASK), 0, 1).to_dict()
    assert device.recognising.statistics() == expected, "what was heard before counts, too"
    device.close()
    kept = DeviceFolder(tmp_path / "state").model
    assert beside(kept, "voice").read_bytes() == file.read_bytes()
    settings = RunSettings.parse(
        {"mic": True, "state": tmp_path / "state", "front_end": NAME}
    ).begun()
    with Device(settings.part(DeviceSettings)) as again:
        assert again.recognising.statistics() == expected


def test_a_voice_model_whose_file_goes_at_the_last_moment_is_used_and_kept(
    start: Open, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = start(model=False, front_end=NAME)
    copy, expected = Model.copy, load_voice(file, TASK)

    def removing(*given: Any) -> Model:
        file.unlink()
        return copy(*given)

    monkeypatch.setattr(Model, "copy", removing)
    device.use_model(*given_model(tmp_path), begun=file)
    kept = DeviceFolder(tmp_path / "state").model
    assert load_voice(beside(kept, "voice"), TASK).digest == expected.digest
    assert isinstance(device.recognising.normalising(), VoiceStatistics)


def test_the_personal_model_follows_a_voice_model_that_comes_with_a_model(
    start: Open, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = start(model=False, front_end=NAME)
    device.use_model(*given_model(tmp_path))
    corrected = [hear(device, seed).identifier for seed in range(4)]
    learner = Learning(device)
    anew = opening.begin_again

    def late(*given: Any) -> None:
        """Have somebody correct something while what was heard is not yet heard anew."""
        for identifier, label in zip(corrected, TASK.names, strict=True):
            device.correct(identifier, label)
        wait_until(lambda: device.status()["training"] == {"examples": 4}, "a personal model")
        anew(*given)

    monkeypatch.setattr(opening, "begin_again", late)
    device.use_model(*given_model(tmp_path), begun=file)
    examples, told = device.labelled(4)
    model = Model.load(DeviceFolder(tmp_path / "state").model)
    logits = np.stack([model.logits(each, 1) for each in examples.features])
    model.personal = PersonalModel.fit(examples, logits, told=told)
    new = POOLED.compute(utterance(9).samples)
    expected = model.recognise(new, device.recognising.normalising())

    def fitted_again() -> bool:
        found = device.recognising.recognise(new, known=True)
        return np.allclose(np.array(found), np.array(expected), rtol=1e-4)

    wait_until(fitted_again, "it was fitted again")
    learner.close()


def test_the_same_voice_model_again_changes_nothing(
    start: Open, tmp_path: Path, file: Path
) -> None:
    device = start(model=False, front_end=NAME)
    model = given_model(tmp_path)
    device.use_model(*model, begun=file)
    hear(device, 0)
    before = device.recognising.normalising()
    device.use_model(*model, begun=file)
    assert device.recognising.statistics() == heard(load_voice(file, TASK), 0).to_dict()
    assert type(device.recognising.normalising()) is type(before)


def test_a_prior_takes_the_place_of_a_voice_model(start: Open, tmp_path: Path, file: Path) -> None:
    device = start(model=False, front_end=NAME)
    model = given_model(tmp_path)
    device.use_model(*model, begun=file)
    prior = tmp_path / "prior.safetensors"
    save_prior(prior, Prior(np.ones(6), np.ones(6), 4), TASK)
    hear(device, 0)
    device.use_model(*model, begun=prior)
    assert device.recognising.statistics()["count"] == 5
    kept = DeviceFolder(tmp_path / "state").model
    assert beside(kept, "prior").exists()
    assert not beside(kept, "voice").exists()


def test_statistics_of_another_task_leave_all_as_it_was(start: Open, tmp_path: Path) -> None:
    device = start(model=False, front_end=NAME)
    other = tmp_path / "other.safetensors"
    save_prior(other, Prior(np.ones(34), np.ones(34), 4), DEFAULT_TASK)
    with pytest.raises(WeightsError, match="of another task"):
        device.use_model(*given_model(tmp_path), begun=other)
    assert device.recognising.digest is None
    assert not DeviceFolder(tmp_path / "state").model.exists()
