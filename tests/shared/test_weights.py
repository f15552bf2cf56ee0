"""Weights as flat vectors and as safetensors files."""

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import save

from shared.architectures import Architecture, architecture_of
from shared.errors import WeightsError
from shared.layers import HEAD, LSTM, Conv1D, Dense
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from shared.weights import (
    PIECE,
    Weights,
    digest,
    initial_weights,
    load_weights,
    pieces,
    save_weights,
    split,
)
from tests.architectures import replace_model

SMALL = Architecture(
    "conv",
    (
        Conv1D("conv1", 2),
        LSTM("lstm1", 3, sequences=False),
        Dense(HEAD, 3),
        Dense("logits", 4, hidden=False),
    ),
)
WEIGHTS = initial_weights(SMALL, np.random.default_rng(0))
FILE = save(split(WEIGHTS, SMALL), {"architecture": "conv"})
HEADER = 8 + struct.unpack("<Q", FILE[:8])[0]
"""Bytes of the file before its values."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_model(monkeypatch, SMALL)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "model.safetensors"


@given(hnp.arrays(np.float32, SMALL.parameters, elements=st.floats(width=32, allow_nan=False)))
@settings(max_examples=25, deadline=None)
def test_a_file_gives_the_same_weights_back(path: Path, vector: Weights) -> None:
    save_weights(path, vector, SMALL)
    if not np.isfinite(vector).all():
        with pytest.raises(WeightsError, match="not finite"):
            load_weights(path)
        return
    loaded, architecture = load_weights(path)
    assert architecture == SMALL
    assert loaded.tobytes() == vector.tobytes()
    assert load_weights(path, SMALL).tobytes() == vector.tobytes()
    assert list(path.parent.iterdir()) == [path]


def test_the_parts_are_views_of_the_whole() -> None:
    vector = WEIGHTS.copy()
    parts = split(vector, SMALL)
    assert {name: part.shape for name, part in parts.items()} == {
        spec.name: spec.shape for spec in SMALL.manifest
    }
    parts["logits/bias"][:] = 7
    assert vector[-4:].tolist() == [7] * 4


def test_the_digest_is_of_the_file(path: Path) -> None:
    save_weights(path, WEIGHTS, SMALL)
    assert digest(WEIGHTS, SMALL) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest(WEIGHTS[::-1], SMALL) == digest(WEIGHTS[::-1].copy(), SMALL)
    assert digest(WEIGHTS[::-1], SMALL) != digest(WEIGHTS, SMALL)


@given(length=st.integers(0, len(FILE) - 1))
@settings(max_examples=50, deadline=None)
def test_a_truncated_file_is_refused(path: Path, length: int) -> None:
    path.write_bytes(FILE[:length])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(path, SMALL)


def test_a_file_with_something_behind_it_is_refused(path: Path) -> None:
    path.write_bytes(FILE + b"more")
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(path)


@given(where=st.integers(0, HEADER - 1), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_header_is_refused_or_harmless(path: Path, where: int, byte: int) -> None:
    damaged = bytearray(FILE)
    damaged[where] = byte
    path.write_bytes(damaged)
    try:
        loaded = load_weights(path, SMALL)
    except WeightsError:
        return
    assert len(loaded) == SMALL.parameters


def test_a_header_that_claims_a_terabyte_takes_no_memory(path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}
    header = json.dumps({"conv1/kernel": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(path, SMALL)


def changed(**changes: NDArray[Any] | None) -> bytes:
    """Encode the weights with some tensors changed, left out or added."""
    tensors: dict[str, Any] = dict(split(WEIGHTS, SMALL))
    for name, value in changes.items():
        tensors[name.replace("_", "/")] = value
    kept = {name: value for name, value in tensors.items() if value is not None}
    return save(kept, {"architecture": "conv"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed(logits_bias=None), r"does not hold conv weights \(tensor logits/bias\)"),
        (changed(more=np.zeros(1, np.float32)), r"does not hold conv weights \(tensor more\)"),
        (changed(logits_bias=np.zeros(4)), r"should be float32 \[4\], is F64"),
        (changed(logits_bias=np.zeros(4, np.int32)), r"should be float32 \[4\], is I32"),
        (changed(logits_bias=np.zeros(5, np.float32)), r"should be float32 \[4\], is F32 \[5\]"),
        (changed(logits_bias=np.full(4, np.nan, np.float32)), "not finite"),
        (changed(logits_bias=np.full(4, -np.inf, np.float32)), "not finite"),
        (save(split(WEIGHTS, SMALL)), "does not say which model"),
        (save(split(WEIGHTS, SMALL), {"architecture": "other"}), "does not say which model"),
        (save(split(WEIGHTS, SMALL), {"architecture": "dense"}), "does not hold dense weights"),
    ],
)
def test_a_file_of_something_else_is_refused(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        load_weights(path)


def test_weights_of_another_architecture_are_refused(path: Path) -> None:
    path.write_bytes(FILE)
    with pytest.raises(WeightsError, match="does not hold lstm weights"):
        load_weights(path, architecture_of("lstm", DEFAULT_TASK))


EIGHT = architecture_of("lstm", Task(labels_of(f"label{n}" for n in range(8)), PAPER34))


def metadata_of(path: Path) -> Any:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    return header["__metadata__"]


def test_a_file_carries_its_task(path: Path) -> None:
    architecture = architecture_of("conv", EIGHT.task)
    weights = initial_weights(architecture, np.random.default_rng(0))
    save_weights(path, weights, architecture)
    loaded, found = load_weights(path)
    assert found == architecture
    assert found.task.labels == EIGHT.task.labels, "what people see of it, too"
    assert loaded.tobytes() == weights.tobytes()


def test_files_of_the_default_task_are_those_of_versions_that_knew_no_other(path: Path) -> None:
    save_weights(path, WEIGHTS, SMALL)
    assert metadata_of(path) == {"architecture": "conv"}
    assert load_weights(path)[1].task == DEFAULT_TASK


def test_weights_of_another_task_are_refused_in_a_sentence(path: Path) -> None:
    other = Task(labels_of(("sad", "neutral", "happy", "angry")), PAPER34)
    save_weights(path, WEIGHTS, architecture_of("conv", other))
    with pytest.raises(WeightsError) as raised:
        load_weights(path, SMALL)
    assert raised.value.problem == (
        f"{path} is of another task: it recognises sad, neutral, happy, angry instead of "
        "angry, happy, neutral, sad."
    )
    assert "--labels sad,neutral,happy,angry" in raised.value.remedy
    save_weights(path, WEIGHTS, SMALL)
    with pytest.raises(WeightsError, match="it recognises angry, happy, neutral, sad instead of"):
        load_weights(path, architecture_of("conv", other))


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '"angry"', "[" * 9999, '{"labels": []}', "1" * 9999]
)
def test_a_task_that_is_none_is_refused_in_a_sentence(path: Path, text: str) -> None:
    path.write_bytes(save(split(WEIGHTS, SMALL), {"architecture": "conv", "task": text}))
    with pytest.raises(WeightsError, match="does not say what its weights recognise"):
        load_weights(path)
    with pytest.raises(WeightsError, match="does not say what its weights recognise"):
        load_weights(path, SMALL)


def test_a_file_does_not_have_a_module_imported(path: Path) -> None:
    path.write_bytes(save(split(WEIGHTS, SMALL), {"architecture": "antigravity:fly"}))
    with pytest.raises(WeightsError, match="does not say which model") as raised:
        load_weights(path)
    assert "antigravity" not in sys.modules
    assert "no file has a module imported" in raised.value.remedy


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"There is no file .*none"):
        load_weights(tmp_path / "none")


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=tmp_path.name):
        load_weights(tmp_path)


def test_fresh_kernels_are_glorot_uniform() -> None:
    architecture = architecture_of("lstm", DEFAULT_TASK)
    parts = split(initial_weights(SMALL, np.random.default_rng(1)), SMALL)
    kernel = parts["conv1/kernel"]
    limit = np.sqrt(6 / (3 * 34 + 3 * 2))
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.1 * limit
    for name in ("conv1/bias", f"{HEAD}/bias", "logits/bias"):
        assert not parts[name].any()
    assert next(s for s in architecture.manifest if s.name == "lstm1/kernel").fan_out == 4 * 512


def test_fresh_recurrent_kernels_are_orthogonal_and_forget_gates_open() -> None:
    parts = split(initial_weights(SMALL, np.random.default_rng(1)), SMALL)
    kernel = parts["lstm1/recurrent_kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(3), atol=1e-6)
    assert parts["lstm1/bias"].tolist() == [0] * 3 + [1] * 3 + [0] * 6


@pytest.mark.parametrize("whole", [slice(5, 5 + 2 * PIECE + 3), 2 * PIECE + 3])
def test_pieces_cover_a_range_once(whole: int | slice) -> None:
    first = whole.start if isinstance(whole, slice) else 0
    cut = list(pieces(whole))
    assert [piece.start - first for piece in cut] == [0, PIECE, 2 * PIECE]
    assert [piece.stop - first for piece in cut] == [PIECE, 2 * PIECE, 2 * PIECE + 3]
