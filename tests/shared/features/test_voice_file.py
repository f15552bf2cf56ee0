"""Voice models in files."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import CorpusError, WeightsError
from shared.features.expression import Expressions
from shared.features.voice import VoiceModel
from shared.features.voice_file import load_voice, save_voice
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from tests.shared.features.voice_models import expressions, voice_model

POOLED = FrontEndShape("pooled", version=1, frames=1, features=6)
TASK = Task(DEFAULT_TASK.labels, POOLED)
MODEL = voice_model(labels=4)
OF_PEOPLE = expressions(labels=4)
KNOWING = replace(MODEL, expressions=OF_PEOPLE)
PARTS = [part.name for part in fields(VoiceModel) if part.name != "expressions"]


def test_a_file_keeps_a_model_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    save_voice(path, MODEL, TASK)
    found = load_voice(path, TASK)
    for part in PARTS:
        kept, before = getattr(found, part), getattr(MODEL, part)
        np.testing.assert_array_equal(kept, before.astype(np.float32))
    assert found.expressions is None
    save_voice(tmp_path / "again", found, TASK)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert load_voice(tmp_path / "again", TASK).digest == found.digest != MODEL.digest


def test_a_file_keeps_how_people_show_emotions(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    save_voice(path, KNOWING, TASK)
    found = load_voice(path, TASK)
    assert found.expressions is not None
    for part in fields(Expressions):
        kept, before = getattr(found.expressions, part.name), getattr(OF_PEOPLE, part.name)
        np.testing.assert_array_equal(kept, before.astype(np.float32))
    without = replace(found, expressions=None)
    assert found.digest != without.digest, "a device makes other answers of it"
    save_voice(tmp_path / "again", found, TASK)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def damaged(path: Path, **changes: np.ndarray | None) -> Path:  # type: ignore[type-arg]  # any
    save_voice(path, KNOWING, TASK)
    file = TensorFile(path)
    tensors = {name: file.read(name) for name in file.tensors} | changes
    whole = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    write_tensors(path, whole, file.metadata)
    return path


def part_of(name: str) -> np.ndarray:  # type: ignore[type-arg]  # of floats
    own = name.removeprefix("people_")
    found: np.ndarray = getattr(MODEL if own == name else OF_PEOPLE, own)  # type: ignore[type-arg]
    return found


@pytest.mark.parametrize("name", [*PARTS, *(f"people_{part.name}" for part in fields(Expressions))])
def test_a_part_missing_or_not_finite_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold the tensors of a voice model"):
        load_voice(damaged(tmp_path / "file", **{name: None}), TASK)
    infinite = np.full_like(part_of(name), np.inf, np.float32)
    with pytest.raises(WeightsError, match="holds values that no voice model has"):
        load_voice(damaged(tmp_path / "file", **{name: infinite}), TASK)
    with pytest.raises(WeightsError, match="does not hold the tensors of a voice model"):
        load_voice(damaged(tmp_path / "file", **{name: infinite[..., 1:]}), TASK)


@pytest.mark.parametrize(
    "version", [None, np.array([1], np.int32), np.array([2.0], np.float32), np.zeros(0, np.int32)]
)
def test_one_of_another_version_is_refused(
    version: np.ndarray | None,  # type: ignore[type-arg]  # any
    tmp_path: Path,
) -> None:
    with pytest.raises(WeightsError, match="is a voice model of another version of Chorus"):
        load_voice(damaged(tmp_path / "file", version=version), TASK)


@pytest.mark.parametrize("name", ["scale", "spread", "people_rest", "people_spread"])
def test_what_is_divided_by_is_positive(name: str, tmp_path: Path) -> None:
    zero = np.zeros_like(part_of(name), np.float32)
    with pytest.raises(WeightsError, match="holds values that no voice model has"):
        load_voice(damaged(tmp_path / "file", **{name: zero}), TASK)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 1e-60, 1e60, np.nan])
@pytest.mark.parametrize("name", ["spread", "people_rest"])
def test_what_nobody_could_read_replaces_nothing(name: str, value: float, tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    path.write_bytes(b"what was there")
    wrong = np.full_like(part_of(name), value)
    if name == "spread":
        model = replace(KNOWING, spread=wrong)
    else:
        model = replace(KNOWING, expressions=replace(OF_PEOPLE, rest=wrong))
    with pytest.raises(CorpusError, match="that was fitted holds values that no voice model has"):
        save_voice(path, model, TASK)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_is_none_or_of_another_task_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    write_tensors(path, {"mean": np.zeros(6, np.float32)}, {})
    with pytest.raises(WeightsError, match="is no voice model"):
        load_voice(path, TASK)
    save_voice(path, MODEL, TASK)
    with pytest.raises(WeightsError, match="of another task"):
        load_voice(path, Task(DEFAULT_TASK.labels[:3], POOLED))
    with pytest.raises(WeightsError):
        load_voice(tmp_path / "missing", TASK)
