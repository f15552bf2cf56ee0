"""A program recognises clips as a device does, with a model of any task."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from edge_client import Recogniser
from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.hearing.utterance import Utterance
from shared.architectures import architecture_of
from shared.audio import RATE, read_clip
from shared.errors import AudioError, SettingsError, WeightsError
from shared.features.doubt import doubts
from shared.features.prior import Prior, save_prior
from shared.features.voice import VoiceStatistics
from shared.features.voice_file import save_voice
from shared.front_ends import MFCC40
from shared.front_ends.clips import clip_features
from shared.model_notes import ModelNotes
from shared.starter import beside
from shared.task import DEFAULT_TASK, Task, labels_of
from shared.task_settings import TaskSettings
from shared.weights import initial_weights, load_weights, save_weights
from tests.edge_client.device.calibrated import CALIBRATION, CONV, calibrated, weights
from tests.edge_client.device.heard import utterance
from tests.edge_client.device.pooled import NAME, POOLED
from tests.shared.features.voice_models import voice_model

EIGHT = Task(
    labels_of(("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm")),
    MFCC40,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "model.safetensors", "conv", DEFAULT_TASK)


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Write a clip of 0.5 s, which is too short for statistics, and two of 2 s."""
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(paths):
        sound = utterance(number, 2.0 if number else 0.5).samples
        soundfile.write(path, sound, RATE, subtype="FLOAT")
    return paths


def test_a_model_that_overflows_names_no_label(clips: list[Path], tmp_path: Path) -> None:
    architecture = architecture_of("conv", DEFAULT_TASK)
    weights = initial_weights(architecture, np.random.default_rng(0)) * np.float32(1e30)
    save_weights(tmp_path / "huge.safetensors", weights, architecture)
    with pytest.raises(WeightsError, match="its weights are too large"):
        Recogniser(tmp_path / "huge.safetensors").recognise(clips[1])


def written(path: Path, name: str, task: Task) -> Path:
    architecture = architecture_of(name, task)
    save_weights(path, initial_weights(architecture, np.random.default_rng(0)), architecture)
    return path


@pytest.mark.parametrize("normalisation", ["device", "none"])
def test_it_recognises_as_a_device_that_has_heard_the_same(
    model: Path, clips: list[Path], tmp_path: Path, normalisation: Literal["device", "none"]
) -> None:
    recogniser = Recogniser(model, normalisation=normalisation)
    settings = {"state": tmp_path / "state", "weights": model, "normalisation": normalisation}
    with Device(DeviceSettings.parse(settings)) as device:
        for clip in clips:
            found = recogniser.recognise(clip)
            heard = device.hear(Utterance(read_clip(clip), 0.0))
            assert heard is not None
            assert tuple(found.probabilities.values()) == heard.probabilities
            assert found.label == heard.predicted


def test_only_what_was_heard_before_changes_what_a_clip_is_taken_for(
    model: Path, clips: list[Path]
) -> None:
    device, alone = Recogniser(model), Recogniser(model, normalisation="none")
    assert device.recognise(clips[0]) == alone.recognise(clips[0]), "statistics begin with 1 s"
    first = device.recognise(clips[1])
    device.recognise(clips[2])
    assert device.recognise(clips[1]) != first
    assert alone.recognise(clips[1]) == alone.recognise(str(clips[1]))


def test_a_model_of_another_task_names_its_own_labels(tmp_path: Path, clips: list[Path]) -> None:
    recogniser = Recogniser(written(tmp_path / "eight.safetensors", "tdnn", EIGHT))
    found = recogniser.recognise(clips[1])
    assert recogniser.task == EIGHT
    assert tuple(found.probabilities) == EIGHT.names
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probabilities[found.label] == max(found.probabilities.values())


def test_samples_are_recognised_as_their_file_is(model: Path, clips: list[Path]) -> None:
    from_file = Recogniser(model).recognise(clips[1])
    samples, rate = soundfile.read(clips[1])
    assert Recogniser(model).recognise((samples, rate)) == from_file
    stereo = np.stack([samples, samples], axis=1)
    assert Recogniser(model).recognise((stereo, rate)) == from_file


def test_what_is_wrong_is_one_sentence(model: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        Recogniser(tmp_path / "missing.safetensors")
    with pytest.raises(SettingsError, match="no normalisation 'corpus'"):
        Recogniser(model, normalisation="corpus")  # type: ignore[arg-type] # as people would
    recogniser = Recogniser(model)
    with pytest.raises(AudioError, match="no clip nowhere"):
        recogniser.recognise("nowhere.wav")
    with pytest.raises(AudioError, match="empty"):
        recogniser.recognise((np.empty(0, np.float32), RATE))


def test_the_package_is_imported_without_numpy() -> None:
    program = (
        "import sys, edge_client; heavy = {'numpy', 'tensorflow', 'keras', 'pydantic'};"
        "assert not heavy & sys.modules.keys();"
        "print(all(getattr(edge_client, name) for name in edge_client.__all__))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_it_is_as_sure_as_was_measured(clips: list[Path], tmp_path: Path) -> None:
    path = calibrated(tmp_path)
    recogniser = Recogniser(path, unsure_below=1.0)
    found = recogniser.recognise(clips[1])
    assert (found.unsure, recogniser.calibration) == (True, CALIBRATION)
    assert max(found.probabilities, key=found.probabilities.__getitem__) == found.label
    assert not Recogniser(path, unsure_below=0).recognise(clips[1]).unsure
    save_weights(tmp_path / "raw.safetensors", weights(), CONV)
    raw = Recogniser(tmp_path / "raw.safetensors").recognise(clips[1])
    cooler = np.log(list(raw.probabilities.values())) / CALIBRATION.temperature
    expected = np.exp(cooler) / np.exp(cooler).sum()
    np.testing.assert_allclose(list(found.probabilities.values()), expected, rtol=1e-4)


POOLED_TASK = TaskSettings.parse({"front_end": NAME}).task


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """Write a model of a front end that gives one vector an utterance."""
    return written(tmp_path / "head.safetensors", "head", POOLED_TASK)


@pytest.mark.parametrize("kind", ["voice", "prior"])
@pytest.mark.parametrize("given", [True, False])
def test_a_recogniser_normalises_by_what_lies_beside_the_model_as_a_device_does(
    head: Path, clips: list[Path], tmp_path: Path, kind: Literal["voice", "prior"], *, given: bool
) -> None:
    begun = tmp_path / "elsewhere" if given else beside(head, kind)
    if kind == "voice":
        save_voice(begun, voice_model(labels=4), POOLED_TASK)
    else:
        save_prior(begun, Prior(np.ones(6), np.ones(6), 4), POOLED_TASK)
    voice, prior = (begun, None) if kind == "voice" else (None, begun)
    recogniser = Recogniser(head, voice=voice, prior=prior) if given else Recogniser(head)
    settings = {"state": tmp_path / "state", "weights": head, "front_end": NAME, kind: begun}
    settings["normalisation"] = "voice" if voice else "device"
    with Device(DeviceSettings.parse(settings)) as device:
        for path in clips:
            heard = device.hear(Utterance(read_clip(path), 0.0))
            assert heard
            found = recogniser.recognise(path)
            assert tuple(found.probabilities.values()) == heard.probabilities


def test_it_doubts_what_lies_far_from_its_voices_as_was_measured(
    head: Path, clips: list[Path], tmp_path: Path
) -> None:
    voice = voice_model(labels=4)
    save_voice(beside(head, "voice"), voice, POOLED_TASK)
    raw = Recogniser(head).recognise(clips[1])
    weights, architecture = load_weights(head)
    doubting = tmp_path / "doubting.safetensors"
    notes = ModelNotes(replace(CALIBRATION, doubting=True))
    save_weights(doubting, weights, architecture, notes)
    found = Recogniser(doubting, voice=beside(head, "voice")).recognise(clips[1])
    heard = clip_features(clips[1], POOLED)
    statistics = VoiceStatistics(voice)
    statistics.update(heard)
    doubt = doubts(statistics, heard[None])[0]
    assert doubt != pytest.approx(1, abs=0.1)
    cooler = np.log(list(raw.probabilities.values())) / doubt / (CALIBRATION.temperature or 1)
    expected = np.exp(cooler) / np.exp(cooler).sum()
    np.testing.assert_allclose(list(found.probabilities.values()), expected, rtol=1e-4)


def test_a_voice_model_goes_with_its_normalisation_alone(head: Path, tmp_path: Path) -> None:
    voice, prior = tmp_path / "voice", tmp_path / "prior"
    for wrong in (
        partial(Recogniser, normalisation="device", voice=voice),
        partial(Recogniser, normalisation="none", voice=voice),
        partial(Recogniser, voice=voice, prior=prior),
        partial(Recogniser, normalisation="voice", prior=prior),
        partial(Recogniser, normalisation="none", prior=prior),
        partial(Recogniser, normalisation="voice"),
    ):
        with pytest.raises(SettingsError, match=r"for normalisation|needs a voice model"):
            wrong(head)
