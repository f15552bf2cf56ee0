"""A device's model and what its statistics begin with: replaced together, whatever happens."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.normalised import mark_of
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.settings import RunSettings
from shared.architectures import architecture_of
from shared.errors import ChorusError, WeightsError
from shared.features.prior import Prior, save_prior
from shared.features.start_file import load_start
from shared.features.voice_file import save_voice
from shared.starter import beside
from shared.storage.files import sha256_of
from shared.task import DEFAULT_TASK, Task
from shared.weights import save_weights
from tests.edge_client.device.pooled import NAME, POOLED
from tests.killing import killed_at
from tests.shared.features.voice_models import voice_model

TASK = Task(DEFAULT_TASK.labels, POOLED.shape)
HEAD = architecture_of("head", TASK)
BEGINNINGS = ("voice", "other voice", "prior", "device", "none")


@dataclass(frozen=True)
class Given:
    """A model, and what is given with it."""

    model: Path
    options: dict[str, Any]

    @property
    def known(self) -> tuple[str, str]:
        """Its digest, and how it is normalised."""
        return sha256_of(self.model), how(self.options)


def how(options: dict[str, Any]) -> str:
    """Say how features are normalised with some settings."""
    file = options.get("voice") or options.get("prior")
    if file:
        return load_start(file, TASK).digest
    return str(options.get("normalisation", "device"))


def given(folder: Path, beginning: str, value: float) -> Given:
    """Write a model, and what its statistics begin with."""
    folder.mkdir()
    model = folder / "given.safetensors"
    save_weights(model, np.full(HEAD.parameters, value, np.float32), HEAD)
    if beginning.endswith("voice"):
        coordinates = 3 if beginning == "other voice" else 2
        save_voice(folder / "voice", voice_model(labels=4, coordinates=coordinates), TASK)
        return Given(model, {"normalisation": "voice", "voice": folder / "voice"})
    if beginning == "prior":
        save_prior(folder / "prior", Prior(np.ones(6), np.ones(6), 4), TASK)
        return Given(model, {"prior": folder / "prior"})
    return Given(model, {"normalisation": beginning})


def begun(state: Path) -> RunSettings:
    return RunSettings.parse({"mic": True, "state": state, "front_end": NAME}).begun()


def opened(state: Path, one: Given) -> None:
    settings = {"state": state, "front_end": NAME, "weights": one.model, **one.options}
    Device(DeviceSettings.parse(settings)).close()


def told(state: Path, one: Given) -> None:
    """Let a device take a model from its federation, which hands out what it begins with."""
    with Device(begun(state).part(DeviceSettings)) as device:
        file = one.options.get("voice") or one.options.get("prior")
        device.use_model(one.model, sha256_of(one.model), HEAD, file)


@pytest.mark.parametrize(
    ("take", "first", "second"),
    [
        *((opened, *pair) for pair in itertools.pairwise(BEGINNINGS)),
        # A federation hands out a voice or a prior, or nothing.
        (told, "voice", "other voice"),
        (told, "other voice", "prior"),
        (told, "none", "voice"),
    ],
)
def test_a_kill_leaves_no_model_with_what_another_one_begins_with(
    tmp_path: Path, take: Callable[[Path, Given], None], first: str, second: str
) -> None:
    old, new = given(tmp_path / "old", first, 0.25), given(tmp_path / "new", second, 0.5)
    found = set()
    for step in itertools.count():
        state = tmp_path / f"state {step}"
        opened(state, old)
        killed = killed_at(step, lambda: take(state, new))  # noqa: B023 -- it is done at once
        model, settings = DeviceFolder(state).model, begun(state)
        known = sha256_of(model), how(settings.model_dump())
        assert known in (old.known, new.known)
        found.add(known)
        Device(settings.part(DeviceSettings)).close()
        assert how(begun(state).model_dump()) == known[1], "nor does the next start change that"
        assert not list(state.glob("model-*")), "nothing is left"
        if not killed:
            break
    assert known == new.known
    assert mark_of(model).exists() == (second == "none")
    assert found == {old.known, new.known}


def spoilt_voice(one: Given) -> Given:
    (one.model.parent / "spoilt").write_bytes(b"spoilt")
    return Given(one.model, {"normalisation": "voice", "voice": one.model.parent / "spoilt"})


def spoilt_model(one: Given) -> Given:
    save_weights(one.model, np.full(HEAD.parameters, np.nan, np.float32), HEAD)
    return one


@pytest.mark.parametrize("spoil", [spoilt_voice, spoilt_model])
def test_a_start_that_fails_leaves_model_and_voice_as_they_were(
    tmp_path: Path, spoil: Callable[[Given], Given]
) -> None:
    state = tmp_path / "state"
    old, new = given(tmp_path / "old", "voice", 0.25), given(tmp_path / "new", "prior", 0.5)
    opened(state, old)
    with pytest.raises(WeightsError):
        opened(state, spoil(new))
    model = DeviceFolder(state).model
    assert (sha256_of(model), how(begun(state).model_dump())) == old.known
    assert not list(state.glob("model-*"))


def test_a_model_that_is_not_what_it_was_named_leaves_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old, new = given(tmp_path / "old", "voice", 0.25), given(tmp_path / "new", "prior", 0.5)
    opened(state, old)
    with Device(begun(state).part(DeviceSettings)) as device, pytest.raises(ChorusError):
        device.use_model(new.model, "1" * 64, HEAD, new.options["prior"])
    assert (sha256_of(DeviceFolder(state).model), how(begun(state).model_dump())) == old.known
    assert not list(state.glob("model-*"))


def test_what_somebody_has_laid_beside_the_model_stays(tmp_path: Path) -> None:
    state = tmp_path / "state"
    old = given(tmp_path / "old", "voice", 0.25)
    opened(state, old)
    own = state / f"model-{'1' * 64}.safetensors"
    own.write_bytes(b"mine")
    opened(state, given(tmp_path / "new", "prior", 0.5))
    assert own.read_bytes() == b"mine"
    assert not beside(DeviceFolder(state).model, "voice").exists()
