"""Safetensors files: read in pieces, and never believed."""

import json
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors import numpy as library

from shared.errors import StorageError, WeightsError
from shared.storage.tensor_file import DTYPES, HEADER_LIMIT, TensorFile, write_tensors

TENSORS: dict[str, NDArray[Any]] = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/bias": np.array([7, 8, 9], np.int8),
    "scale": np.array([0.5], np.float16),
    "empty": np.zeros((0, 4), np.float32),
}

ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: hnp.arrays(DTYPES[name], hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors") / "file.safetensors"


def encoded(header: object, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def tensor(name: str = "x", **changes: object) -> dict[str, Any]:
    """Describe a tensor of four bytes, rightly but for the changes."""
    return {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes}


@given(
    tensors=st.dictionaries(st.sampled_from(["a", "a/b", "ü", "x" * 256]), ARRAYS, min_size=1),
    metadata=st.dictionaries(st.text("abc", max_size=3), st.text(max_size=5), max_size=2),
)
@settings(max_examples=100, deadline=None)
def test_the_library_reads_what_we_write_and_we_what_it_writes(
    path: Path, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> None:
    write_tensors(path, tensors, metadata)
    ours = path.read_bytes()
    theirs = library.save(tensors, metadata)
    for content in (ours, theirs):
        path.write_bytes(content)
        file = TensorFile(path)
        assert file.metadata == metadata
        assert file.tensors.keys() == tensors.keys()
        loaded = library.load(content)
        for name, expected in tensors.items():
            slot = file.tensors[name]
            assert DTYPES[slot.dtype] == expected.dtype
            assert slot.shape == expected.shape
            assert content[slot.begin : slot.end] == expected.tobytes()
            out = np.empty(slot.size, expected.dtype)
            file.read_into(name, out)
            assert out.tobytes() == expected.tobytes() == loaded[name].tobytes()


@given(length=st.integers(0, 20), start=st.integers(0, 20))
def test_a_piece_is_read_by_its_place(path: Path, length: int, start: int) -> None:
    values = np.arange(20, dtype=np.float32)
    write_tensors(path, {"before": np.ones(3, np.int8), "x": values}, {})
    out = np.empty(length, np.float32)
    if start + length > values.size:
        with pytest.raises(ValueError, match="has no values"):
            TensorFile(path).read_into("x", out, start)
    else:
        TensorFile(path).read_into("x", out, start)
        assert out.tolist() == values[start : start + length].tolist()


@pytest.mark.parametrize(
    "out", [np.empty(6), np.empty((2, 3), np.float32), np.empty(12, np.float32)[::2]]
)
def test_memory_that_does_not_fit_is_refused(path: Path, out: NDArray[Any]) -> None:
    write_tensors(path, TENSORS, {})
    with pytest.raises(ValueError, match="takes a flat contiguous array of float32"):
        TensorFile(path).read_into("a/kernel", out)


@given(content=st.binary(max_size=200) | st.binary(max_size=200).map(encoded))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_an_error_or_a_file(path: Path, content: bytes) -> None:
    look_at(path, content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*DTYPES, "BF16", "F8_E4M3"]) | JSON,
        "shape": st.lists(st.integers(0, 3), max_size=2) | JSON,
        "data_offsets": st.tuples(st.integers(0, 9), st.integers(0, 9)) | JSON,
    },
    optional={"more": JSON},
)


@given(
    header=st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__", "\n", "\ud800"]), ENTRY | JSON, max_size=3
    ),
    values=st.binary(max_size=16),
)
@settings(max_examples=500, deadline=None)
def test_any_header_is_an_error_or_a_file(
    path: Path, header: dict[str, Any], values: bytes
) -> None:
    look_at(path, encoded(header, values))


@given(where=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(max_examples=500, deadline=None)
def test_a_changed_byte_is_an_error_or_a_file(path: Path, where: int, byte: int) -> None:
    content = bytearray(library.save(TENSORS, {"who": "me"}))
    content[where % len(content)] = byte
    look_at(path, bytes(content))


def look_at(path: Path, content: bytes) -> None:
    """Open a file: it is refused, or the library takes it too and finds the same in it."""
    path.write_bytes(content)
    try:
        file = TensorFile(path)
    except WeightsError:
        return
    loaded = library.load(content)
    assert loaded.keys() == file.tensors.keys()
    for name, slot in file.tensors.items():
        out = np.empty(slot.size, DTYPES[slot.dtype])
        file.read_into(name, out)
        assert out.tobytes() == loaded[name].tobytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "says 0"),
        (b"1234567", "says 0"),
        (encoded(b""), "says 0"),
        (struct.pack("<Q", 1 << 40) + b"{}", "says 1099511627776"),
        (encoded(b"{}" + b" " * HEADER_LIMIT), "1 to 65536 bytes"),
        (encoded(b"[" * HEADER_LIMIT), "not JSON"),
        (encoded(b"9" * 5000), "not JSON"),
        (encoded(b"\xff"), "not JSON"),
        (encoded(b"[]"), "not an object"),
        (encoded(b'{"a": NaN}'), "holds NaN"),
        (encoded(b'{"__metadata__": {"a": "b", "a": "c"}}'), "repeats a name"),
        (encoded({"__metadata__": {"a": 1}}), "not texts"),
        (encoded({"__metadata__": "a"}), "not texts"),
        (encoded(tensor("x" * 257), bytes(4)), "cannot be printed"),
        (encoded(tensor("\x1b[2J"), bytes(4)), "cannot be printed"),
        (encoded({"x": 1}), "as the format asks"),
        (encoded({"x": {"dtype": "F32", "shape": [1]}}, bytes(4)), "as the format asks"),
        (encoded(tensor(data_offsets=[0, 4, 4]), bytes(4)), "as the format asks"),
        (encoded(tensor(shape=[True]), bytes(4)), "cannot be"),
        (encoded(tensor(shape=[1.0]), bytes(4)), "cannot be"),
        (encoded(tensor(shape=[-1, -1]), bytes(4)), "cannot be"),
        (encoded(tensor(shape=[1] * 33), bytes(4)), "cannot be"),
        (encoded(tensor(dtype="BF16", shape=[2]), bytes(4)), "NumPy does not have"),
        (encoded(tensor(shape=[2]), bytes(4)), "bytes of its shape"),
        (encoded(tensor(shape=[1 << 38], data_offsets=[0, 1 << 40])), "end at byte 109951"),
        (encoded(tensor(data_offsets=[4, 8]), bytes(8)), "does not follow"),
        (encoded(tensor("x") | tensor("y"), bytes(4)), "does not follow"),
        (encoded(tensor(), bytes(3)), "end at byte"),
        (encoded(tensor(), bytes(5)), "end at byte"),
    ],
)
def test_what_is_wrong_is_said(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"not a whole safetensors file \(.*{why}") as raised:
        TensorFile(path)
    assert raised.value.problem.isprintable()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        TensorFile(tmp_path / "none")
    with pytest.raises(WeightsError, match="Is a directory"):
        TensorFile(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="is not a file"):
        TensorFile(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"", library.save({"a/kernel": np.zeros((2, 3), np.float32)})])
def test_a_file_that_changes_is_noticed(path: Path, content: bytes) -> None:
    path.write_bytes(library.save(TENSORS))
    file = TensorFile(path)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="was changed"):
        file.read_into("a/kernel", np.empty(6, np.float32))
    path.unlink()
    with pytest.raises(WeightsError, match="There is no file"):
        file.read_into("a/kernel", np.empty(6, np.float32))


def test_reading_and_writing_take_no_second_copy(path: Path) -> None:
    values = np.ones(2_000_000, np.float32)
    out = np.empty_like(values)
    tracemalloc.start()
    write_tensors(path, {"x": values}, {})
    TensorFile(path).read_into("x", out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out.tobytes() == values.tobytes()
    assert peak < values.nbytes / 10


def test_a_failed_writing_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, {})
    content = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_tensors(path, {}, {})
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_type_that_the_format_lacks_is_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_tensors(tmp_path / "file", {"x": np.zeros(1, np.complex64)}, {})
