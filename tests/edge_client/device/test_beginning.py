"""What a device begins with where its person has not said it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device.damage import damage
from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.settings import RunSettings
from shared.architectures import architecture_of
from shared.errors import SettingsError, WeightsError
from shared.features.prior import Prior, load_prior, save_prior
from shared.front_ends import FRONT_ENDS
from shared.starter import STARTER, STARTER_TASK, STARTER_VOICE, beside
from shared.storage.files import sha256_of
from shared.task import DEFAULT_TASK, Task, labels_of
from shared.weights import Weights, save_weights
from tests.converters.layouts import small_encoder
from tests.edge_client.device.heard import CONV, add_labelled, frames, hear, recognised
from tests.edge_client.device.old import OLD

HEAD = architecture_of("head", STARTER_TASK)


def begun(state: Path, **given: Any) -> RunSettings:
    """Give what `edge-client run --mic` begins with."""
    return RunSettings.parse({"mic": True, "state": state, **given}).begun()


def opened(state: Path, **given: Any) -> Device:
    return Device(begun(state, **given).part(DeviceSettings))


def used_before(state: Path, weights: Weights | None = None) -> Path:
    """Let a device of the paper's task hear and be told something, as by default in 1.0."""
    given = {"state": state}
    if weights is not None:
        given["weights"] = state.with_suffix(".safetensors")
        save_weights(given["weights"], weights, CONV)
    with Device(DeviceSettings.parse(given)) as device:
        device.correct(hear(device).identifier, "sad")
        hear(device, 1)
    return state


def own_starter(path: Path) -> Path:
    """Write a head for vectors of the encoder, and what statistics begin with beside it."""
    save_weights(path, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    features = STARTER_TASK.front_end.features
    save_prior(beside(path, "prior"), Prior(np.ones(features), np.ones(features), 7), STARTER_TASK)
    return path


def test_with_nothing_else_a_device_recognises_the_first_utterance(tmp_path: Path) -> None:
    settings = begun(tmp_path)
    assert settings.task == STARTER_TASK
    assert settings.voice == STARTER_VOICE
    assert settings.normalisation == "voice"
    with Device(settings.part(DeviceSettings)) as device:
        assert device.problem is None
        assert hear(device).predicted in STARTER_TASK.names
        assert device.status()["model"]["digest"] == sha256_of(STARTER)
    assert not DeviceFolder(tmp_path).model.exists(), "a better one may come with the package"


def test_a_device_that_was_used_before_keeps_its_task_its_model_and_its_examples(
    tmp_path: Path, weights: Weights
) -> None:
    state = used_before(tmp_path / "state", weights)
    before = sha256_of(DeviceFolder(state).model)
    assert begun(state).prior is None
    with opened(state) as device:
        assert device.task == DEFAULT_TASK
        assert device.problem is None
        assert device.status()["model"]["digest"] == before
        assert len(device.example_keys()) == 1
        assert device.counts()["unlabelled"] == 1
        assert hear(device, 2).front_end == "paper34 1"


def test_so_does_one_without_a_model(tmp_path: Path) -> None:
    with opened(used_before(tmp_path)) as device:
        assert device.task == DEFAULT_TASK
        assert len(device.example_keys()) == 1
        assert device.recognising.digest is None, "the starter is of another task"


def test_so_does_one_of_the_version_before_there_were_tasks(tmp_path: Path) -> None:
    shutil.copy(OLD / "examples.sqlite", tmp_path)
    with opened(tmp_path) as device:
        assert device.task == DEFAULT_TASK
        assert len(device.example_keys()) == 2


def test_so_does_one_whose_store_is_damaged(tmp_path: Path) -> None:
    path = DeviceFolder(tmp_path).examples
    with ExampleStore(path, limit_mb=10) as store:
        add_labelled(store, range(40))
    data = bytearray(path.read_bytes())
    newest = data.index(frames(39, 100).tobytes()[:40]) // 4096 * 4096
    data[newest : newest + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    assert damage(path)
    with opened(tmp_path) as device:
        assert device.task == DEFAULT_TASK
        assert len(device.example_keys()) > 20


def test_one_that_has_a_model_and_heard_nothing_keeps_the_model_s_task(
    tmp_path: Path, weights: Weights
) -> None:
    state = DeviceFolder(tmp_path)
    state.make()
    save_weights(state.model, weights, CONV)
    with opened(tmp_path) as device:
        assert device.task == DEFAULT_TASK
        assert device.recognising.digest == sha256_of(state.model)


def test_labels_that_were_used_before_stay_too(tmp_path: Path) -> None:
    labels = ("laughing", "crying")
    with opened(tmp_path, labels=labels, front_end="mfcc40") as device:
        device.correct(hear(device).identifier, "crying")
    assert begun(tmp_path).task.names == labels
    assert begun(tmp_path).front_end == "mfcc40"


def test_what_was_taken_in_from_elsewhere_changes_no_task(tmp_path: Path) -> None:
    used_before(tmp_path)
    other = Task(labels_of(("calm", "sad")), DEFAULT_TASK.front_end)
    with ExampleStore(DeviceFolder(tmp_path).examples, limit_mb=10) as store:
        store.add(recognised(0.5, 0.5, task=other), frames(1))
    assert begun(tmp_path).task == DEFAULT_TASK


def test_what_is_given_comes_before_what_was_used(tmp_path: Path) -> None:
    used_before(tmp_path)
    assert begun(tmp_path, front_end="whisper-speech").task == STARTER_TASK
    assert begun(tmp_path, starter=True).task == STARTER_TASK
    other = begun(tmp_path, labels=("laughing", "crying"))
    assert (other.task.names, other.front_end) == (("laughing", "crying"), "paper34")
    with opened(tmp_path, starter=True) as device:
        assert hear(device).probabilities is not None
        assert device.counts()["sad"] == 0, "of another front end: kept, not learned from"
        assert "kept but not learned from" in (device.problem or "")


def test_an_encoder_of_one_s_own_has_to_be_named_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tmp_path / "own.safetensors"
    small_encoder(tmp_path, int8=True).write(encoder)
    state = tmp_path / "state"
    with opened(state, front_end=str(encoder)) as device:
        device.correct(hear(device).identifier, "sad")
        name = device.task.front_end.name
    with monkeypatch.context() as another_process:
        another_process.delitem(FRONT_ENDS._own, name)
        with pytest.raises(SettingsError, match=f"an encoder that is not here: {name}") as caught:
            begun(state)
        assert "--front-end FILE" in caught.value.remedy
        assert begun(state, starter=True).task == STARTER_TASK
    with opened(state, front_end=str(encoder)) as device:
        assert device.counts()["sad"] == 1


def test_other_labels_have_no_starter(tmp_path: Path) -> None:
    settings = begun(tmp_path, labels="laughing,crying")
    assert settings.task == Task(labels_of(("laughing", "crying")), STARTER_TASK.front_end)
    assert (settings.starter, settings.prior) == (False, None)


def test_a_model_that_is_given_says_the_task(tmp_path: Path, weights: Weights) -> None:
    file = tmp_path / "conv.safetensors"
    save_weights(file, weights, CONV)
    with opened(tmp_path / "state", weights=file) as device:
        assert device.task == DEFAULT_TASK
        assert hear(device).probabilities is not None
    with pytest.raises(WeightsError, match="is of another task"):
        opened(tmp_path / "state", weights=file, front_end="whisper-speech")
    with pytest.raises(WeightsError, match="There is no file"):
        begun(tmp_path / "state", weights=tmp_path / "none.safetensors")


@pytest.mark.parametrize("weights", [".", "/", ".."])
def test_beside_what_is_no_file_lies_nothing(weights: str, tmp_path: Path) -> None:
    assert not beside(tmp_path / weights, "prior").exists()
    assert not beside(Path(weights), "voice").exists()


def test_what_lies_beside_a_model_is_taken_with_it_and_kept(tmp_path: Path) -> None:
    file, state = own_starter(tmp_path / "own.safetensors"), tmp_path / "state"
    assert begun(state, weights=file).prior == beside(file, "prior")
    opened(state, weights=file).close()
    file.unlink()
    beside(file, "prior").unlink()
    settings = begun(state)
    assert settings.prior
    assert load_prior(settings.prior, STARTER_TASK).count == 7
    with Device(settings.part(DeviceSettings)) as device:
        assert device.recognising.digest not in (None, sha256_of(STARTER))


def test_another_model_brings_its_own_or_nothing(tmp_path: Path) -> None:
    file, bare = own_starter(tmp_path / "own.safetensors"), tmp_path / "bare.safetensors"
    opened(tmp_path / "state", weights=file).close()
    shutil.copy(file, bare)
    opened(tmp_path / "state", weights=bare).close()
    kept = DeviceFolder(tmp_path / "state").model
    assert not beside(kept, "prior").exists()
    assert begun(tmp_path / "state", prior=beside(file, "prior")).prior == beside(file, "prior")
    assert begun(tmp_path / "state", normalisation="none").prior is None


def test_a_kept_model_of_another_task_stays_while_the_starter_recognises(
    tmp_path: Path, weights: Weights
) -> None:
    state = used_before(tmp_path / "state", weights)
    before = sha256_of(DeviceFolder(state).model)
    with opened(state, starter=True) as device:
        assert hear(device).probabilities is not None
        assert "This device recognises with the starter of the package." in (device.problem or "")
    assert sha256_of(DeviceFolder(state).model) == before


@pytest.mark.parametrize("normalisation", ["device", "none"])
def test_how_a_given_model_is_normalised_is_remembered(tmp_path: Path, normalisation: str) -> None:
    file, state = tmp_path / "own.safetensors", tmp_path / "state"
    save_weights(file, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    with opened(state, weights=file, normalisation=normalisation) as device:
        first = [hear(device, seed).probabilities for seed in range(5)]
    file.unlink()
    settings = begun(state)
    assert (settings.normalisation, settings.voice, settings.prior) == (normalisation, None, None)
    shutil.rmtree(DeviceFolder(state).personal)
    DeviceFolder(state).examples.unlink()
    with opened(state) as device:
        assert [hear(device, seed).probabilities for seed in range(5)] == first


def test_another_model_is_normalised_again_as_it_says(tmp_path: Path) -> None:
    bare, state = tmp_path / "bare.safetensors", tmp_path / "state"
    save_weights(bare, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    opened(state, weights=bare, normalisation="none").close()
    opened(state, weights=own_starter(tmp_path / "own.safetensors")).close()
    settings = begun(state)
    assert settings.normalisation == "device"
    assert settings.prior
    opened(state, weights=bare).close()
    assert (begun(state).normalisation, begun(state).prior) == ("device", None)


def test_a_model_that_comes_without_statistics_goes_on_with_what_the_device_began_with(
    tmp_path: Path,
) -> None:
    """A federation's model may be trained by devices that all began with the package's voice."""
    file = tmp_path / "federation" / "own.safetensors"
    file.parent.mkdir()
    save_weights(file, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    with opened(tmp_path / "state") as device:
        device.use_model(file, sha256_of(file), HEAD)
        hear(device)
        before = device.recognising.statistics()
    settings = begun(tmp_path / "state")
    assert settings.voice == beside(DeviceFolder(tmp_path / "state").model, "voice")
    with Device(settings.part(DeviceSettings)) as device:
        assert device.recognising.digest == sha256_of(file)
        assert device.recognising.statistics() == before


def test_one_of_an_earlier_version_with_nothing_beside_it_has_not_the_package_s_voice(
    tmp_path: Path,
) -> None:
    state = DeviceFolder(tmp_path)
    state.make()
    save_weights(state.model, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    settings = begun(tmp_path)
    assert (settings.normalisation, settings.voice) == ("device", None)
    assert not state.examples.exists(), "looking makes nothing"


def test_one_of_an_earlier_version_goes_on_with_the_package_s_voice_if_it_had_that(
    tmp_path: Path,
) -> None:
    file = tmp_path / "federation" / "own.safetensors"
    file.parent.mkdir()
    save_weights(file, np.full(HEAD.parameters, 0.25, np.float32), HEAD)
    state = DeviceFolder(tmp_path / "state")
    with opened(state.path) as device:
        device.use_model(file, sha256_of(file), HEAD)
        hear(device)
        before = device.recognising.statistics()
    beside(state.model, "voice").unlink()  # that version laid nothing there
    settings = begun(state.path)
    assert settings.voice == STARTER_VOICE
    with Device(settings.part(DeviceSettings)) as device:
        assert device.recognising.statistics() == before


def test_the_package_s_model_has_its_own_voice_whatever_lies_beside_one_that_is_damaged(
    tmp_path: Path,
) -> None:
    state, own = DeviceFolder(tmp_path / "state"), own_starter(tmp_path / "own.safetensors")
    opened(state.path, weights=own).close()
    state.model.write_bytes(state.model.read_bytes()[:-8])
    settings = begun(state.path)
    assert (settings.voice, settings.prior) == (STARTER_VOICE, None)
    with Device(settings.part(DeviceSettings)) as device:
        assert device.recognising.digest == sha256_of(STARTER)
