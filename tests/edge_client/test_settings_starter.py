"""``edge-client run --starter``: what it stands for, and what does not go with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.settings import RunSettings
from shared.architectures import architecture_of
from shared.errors import SettingsError
from shared.features.voice_file import load_voice
from shared.front_ends import WHISPER
from shared.starter import STARTER, STARTER_VOICE
from shared.task import DEFAULT_TASK, Task
from shared.weights import load_weights, save_weights

TASK = Task(DEFAULT_TASK.labels, WHISPER)


def settings(state: Path, **values: Any) -> RunSettings:
    return RunSettings.parse({"mic": True, "starter": True, "state": state, **values})


def test_the_package_has_a_model_of_the_default_labels() -> None:
    weights, architecture = load_weights(STARTER)
    assert (architecture.name, architecture.task) == ("head", TASK)
    assert len(weights) == 6148
    assert load_voice(STARTER_VOICE, TASK).emotions.shape == (4, 64)


def test_a_device_begins_with_it_and_goes_on_with_what_it_has(tmp_path: Path) -> None:
    with Device(settings(tmp_path).begun().part(DeviceSettings)) as device:
        first = device.recognising.digest
    assert first
    other = np.full(6148, 0.5, np.float32)
    save_weights(tmp_path / "model.safetensors", other, architecture_of("head", TASK))
    with Device(settings(tmp_path).begun().part(DeviceSettings)) as device:
        assert device.recognising.digest not in (None, first)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"weights": "model.safetensors"}, "leave out --weights"),
        ({"prior": "prior.safetensors"}, "leave out --prior"),
        ({"normalisation": "none"}, "leave out --normalisation"),
        ({"labels": "laughing,crying"}, "leave out --labels"),
        ({"labels": "happy,angry,neutral,sad"}, "leave out --labels"),
        ({"front_end": "mfcc40"}, "leave out --front-end"),
    ],
)
def test_what_does_not_go_with_it_is_named(
    values: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(tmp_path, **values)
