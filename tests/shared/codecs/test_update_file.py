"""Updates as files: written by clients, not believed by the aggregator."""

import json
import math
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.architectures import architecture_of
from shared.codecs import CODECS, make_codec
from shared.codecs.update_file import EncodedUpdate, UpdateFile, encode_update, largest_file
from shared.errors import StorageError, TrainingError, WeightsError
from shared.randomness import stream
from shared.storage.tensor_file import HEADER_LIMIT, write_tensors
from shared.task import DEFAULT_TASK
from shared.vector_file import VectorFile
from shared.weights import Weights
from tests.shared.codecs.models import MIDDLE, SMALL, update

every_codec = pytest.mark.parametrize("name", list(CODECS))

Arrays = dict[str, NDArray[Any]]
Bounds = tuple[int, int]


def encoded(name: str, vector: Weights | None = None, **more: Any) -> EncodedUpdate:
    rng = stream(0, "codec", "client-00001", 1)
    vector = update(SMALL) if vector is None else vector
    return encode_update(vector.copy(), SMALL, make_codec(name), rng, **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "update"


@every_codec
def test_the_aggregator_reads_what_the_client_knows_it_sent(name: str, path: Path) -> None:
    sent = encoded(name, control=update(SMALL, 1))
    assert sent.control is not None
    sent.write(path)
    file = UpdateFile(path, make_codec(name), SMALL, ["control"])
    assert file.control is not None
    assert file.delta[:].tobytes() == sent.delta[:].tobytes()
    assert file.control[:].tobytes() == sent.control[:].tobytes()
    norm = file.check(1e9)
    assert norm == pytest.approx(np.linalg.norm(sent.delta[:].astype(np.float64)))
    assert file.check(norm) == norm


@every_codec
def test_the_same_update_is_the_same_file_and_any_other_has_its_size(
    name: str, tmp_path: Path
) -> None:
    paths = [tmp_path / str(number) for number in range(3)]
    encoded(name).write(paths[0])
    encoded(name).write(paths[1])
    encoded(name, np.zeros(SMALL.parameters, np.float32)).write(paths[2])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    size = paths[0].stat().st_size
    assert paths[2].stat().st_size == size
    limit = largest_file(make_codec(name), SMALL)
    assert limit - HEADER_LIMIT <= size <= limit
    values = sum(tensor.nbytes for tensor in encoded(name, control=update(SMALL)).tensors.values())
    assert largest_file(make_codec(name), SMALL, ["control"]) == 8 + HEADER_LIMIT + values


def test_it_is_safetensors_and_says_what_it_is(path: Path) -> None:
    encoded("top5-int8", control=update(SMALL, 1)).write(path)
    arrays = ["counts", "positions", "scales", "values"]
    assert sorted(load_file(path)) == [f"{v}/{a}" for v in ("control", "delta") for a in arrays]
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    assert header["__metadata__"] == {"architecture": "conv", "codec": "top5-int8"}


@every_codec
def test_what_was_left_out_comes_later(name: str, path: Path) -> None:
    residual: Weights | None = None
    sums = np.zeros((2, SMALL.parameters))
    for number in range(1, 9):
        delta = update(SMALL, number)
        before = delta.copy()
        sent = encoded(name, delta, residual=residual)
        assert delta.tobytes() == before.tobytes(), "the caller's vector is left as it was"
        residual = sent.residual
        sums += delta, sent.delta[:]
    left = 0 if residual is None else residual
    assert (residual is None) == (name == "float32")
    np.testing.assert_allclose(sums[1] + left, sums[0], atol=1e-6)
    # From the disk it is the same.
    if residual is not None:
        kept = VectorFile.write(path, residual)
        again = encoded(name, delta, residual=kept)
        straight = encoded(name, delta, residual=residual)
        assert again.delta[:].tobytes() == straight.delta[:].tobytes()


@every_codec
def test_no_residual_and_one_of_zeros_are_the_same(name: str) -> None:
    vector = update(SMALL)
    vector[10:20] = -0.0
    zeros = np.zeros_like(vector)
    first, second = encoded(name, vector).tensors, encoded(name, vector, residual=zeros).tensors
    if name != "float32":
        assert all(first[part].tobytes() == second[part].tobytes() for part in first)
    assert all((first[part] == second[part]).all() for part in first)


def test_what_remains_of_another_codec_goes_along() -> None:
    sent = encoded("float32", residual=update(SMALL, 3))
    assert sent.residual is None
    assert (sent.delta[:] == update(SMALL) + update(SMALL, 3)).all()


def test_what_is_not_finite_is_not_sent() -> None:
    vector = update(SMALL)
    vector[3] = np.nan
    for more in ({}, {"residual": update(SMALL)}):
        with pytest.raises(TrainingError, match="not finite"):
            encoded("int8", vector, **more)
    with pytest.raises(TrainingError, match="not finite"):
        encoded("int8", control=vector)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        encoded("int8").write(tmp_path / "taken" / "update")


# What others may have sent


def tampered(name: str, path: Path, change: Callable[[Arrays, dict[str, str]], None]) -> None:
    sent = encoded(name)
    arrays = {part: array.copy() for part, array in sent.tensors.items()}
    metadata = dict(sent.metadata)
    change(arrays, metadata)
    write_tensors(path, arrays, metadata)


def put(part: str, where: int, value: float) -> Callable[[Arrays, dict[str, str]], None]:
    def change(arrays: Arrays, _: dict[str, str]) -> None:
        arrays[part][where] = value

    return change


def replace(part: str, array: Any) -> Callable[[Arrays, dict[str, str]], None]:
    return lambda arrays, _: arrays.update({part: array})


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("float32", put("delta/values", -1, np.nan), "not finite"),
        ("float32", put("delta/values", 0, np.inf), "not finite"),
        ("float32", put("delta/values", 0, 1e9), r"norm 1e\+09, more than the 1000 allowed"),
        ("float16", put("delta/values", 0, np.inf), "not finite"),
        ("int8", put("delta/scales", 0, np.nan), "a scale is"),
        ("int8", put("delta/scales", 0, -1), "a scale is"),
        ("int8", put("delta/scales", 0, 3.4e38), "not finite"),
        ("int8", put("delta/scales", 0, 1e30), "more than the 1000 allowed"),
        ("top5-int8", put("delta/positions", 0, 255), "not in order"),
        ("top5-int8", put("delta/counts", 3, 255), "count"),
        ("float16", put("delta/values", 3, np.nan), "not finite"),
        ("int8", lambda a, _: a.pop("delta/scales"), "tensor delta/scales"),
        ("int8", replace("delta/more", np.zeros(1, np.int8)), "tensor delta/more"),
        ("int8", replace("control/values", np.zeros(1, np.int8)), "tensor control/values"),
        ("int8", replace("delta/values", np.zeros(3, np.int8)), r"should be I8 \[1808\], is I8"),
        ("int8", replace("delta/values", np.zeros(1808, np.uint8)), "is U8"),
        ("int8", replace("delta/values", np.zeros((1, 1808), np.int8)), r"is I8 \[1, 1808\]"),
        ("int8", lambda _, m: m.update(codec="float32"), "metadata say another codec"),
        ("int8", lambda _, m: m.update(architecture="lstm"), "metadata say another architecture"),
        ("int8", lambda _, m: m.clear(), "metadata say another"),
    ],
)
def test_a_wrong_file_is_refused(
    name: str, change: Callable[[Arrays, dict[str, str]], None], why: str, path: Path
) -> None:
    tampered(name, path, change)
    with pytest.raises(WeightsError, match=why):
        UpdateFile(path, make_codec(name), SMALL).check(1000)


@pytest.mark.parametrize(("name", "bits"), [("float16", 0x7C01), ("float32", 0x7F800001)])
def test_a_nan_that_signals_is_refused_without_a_warning(name: str, bits: int, path: Path) -> None:
    def change(arrays: Arrays, _: dict[str, str]) -> None:
        arrays["delta/values"].view(f"u{arrays['delta/values'].itemsize}")[5] = bits

    tampered(name, path, change)
    with pytest.raises(WeightsError, match="not finite"):
        UpdateFile(path, make_codec(name), SMALL).check(1000)


def test_a_bound_that_is_no_number_lets_nothing_pass(path: Path) -> None:
    encoded("int8").write(path)
    with pytest.raises(WeightsError, match="more than the nan allowed"):
        UpdateFile(path, make_codec("int8"), SMALL).check(math.nan)


@pytest.mark.parametrize(
    ("factor", "norm"), [(1.0004, "1000.4"), (1.0000001, r"1000.0001\d*"), (30, "30000")]
)
def test_a_norm_is_said_to_the_digit_that_is_too_much(factor: float, norm: str, path: Path) -> None:
    def change(arrays: Arrays, _: dict[str, str]) -> None:
        arrays["delta/values"][:] = 0
        arrays["delta/values"][0] = 1000 * factor

    tampered("float32", path, change)
    with pytest.raises(WeightsError, match=f"has norm {norm}, more than the 1000 allowed"):
        UpdateFile(path, make_codec("float32"), SMALL).check(1000)


def test_a_control_variate_is_wanted_or_not(path: Path) -> None:
    encoded("int8").write(path)
    with pytest.raises(WeightsError, match="tensor control/"):
        UpdateFile(path, make_codec("int8"), SMALL, ["control"])
    vector = update(SMALL)
    encoded("float32", control=vector).write(path)
    with pytest.raises(WeightsError, match="tensor control/"):
        UpdateFile(path, make_codec("float32"), SMALL)
    sent = encoded("float32", control=vector)
    sent.tensors["control/values"][5] = np.nan
    sent.write(path)
    with pytest.raises(WeightsError, match="not finite"):
        UpdateFile(path, make_codec("float32"), SMALL, ["control"]).check(1000)


SLOT = {"dtype": "I8", "shape": [1808], "data_offsets": [0, 1808]}


def header(values: dict[str, Any]) -> bytes:
    metadata = {"__metadata__": {"architecture": "conv", "codec": "int8"}}
    text = json.dumps(metadata | values).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 1 << 62) + b"{}",
        header({"delta/values": SLOT | {"shape": [1 << 62]}}) + bytes(1808),
        header({"delta/values": SLOT | {"shape": [1 << 31, 1 << 31, 1 << 31]}}) + bytes(1808),
        header({"delta/values": SLOT | {"data_offsets": [0, 1 << 62]}}) + bytes(1808),
        header({"delta/values": SLOT, "delta/scales": SLOT | {"data_offsets": [8, 1816]}})
        + bytes(1816),
        header({"delta/values": SLOT | {"shape": [1e3]}}) + bytes(1808),
        header({"delta/values": SLOT | {"dtype": "object"}}) + bytes(1808),
        header({"delta/values": SLOT}) + bytes(1807),
    ],
)
def test_a_hostile_header_is_refused_without_memory_for_it(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(WeightsError):
        UpdateFile(path, make_codec("int8"), SMALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@every_codec
@given(st.data())
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_is_refused_or_does_no_harm(
    name: str, tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "damaged"
    encoded(name).write(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) - 2, len(content)))])
    try:
        file = UpdateFile(path, make_codec(name), SMALL)
        norm = file.check(1e6)
    except WeightsError:
        return
    assert norm <= 1e6
    assert np.isfinite(file.delta[:]).all()


def test_checking_a_large_update_takes_little_memory(path: Path) -> None:
    conv = architecture_of("conv", DEFAULT_TASK)
    sent = encode_update(update(conv), conv, make_codec("float32"), np.random.default_rng(0))
    sent.write(path)
    tracemalloc.start()
    UpdateFile(path, make_codec("float32"), conv).check(1e9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_a_file_that_changes_while_it_is_read_is_noticed(path: Path) -> None:
    sent = encode_update(update(MIDDLE), MIDDLE, make_codec("int8"), np.random.default_rng(0))
    sent.write(path)
    file = UpdateFile(path, make_codec("int8"), MIDDLE)
    sent.write(path)
    with pytest.raises(WeightsError, match="changed"):
        file.check(1e9)


@pytest.mark.parametrize("codec", list(CODECS))
def test_an_update_is_no_longer_than_its_clip_after_its_codec(codec: str) -> None:
    rng = np.random.default_rng(0)
    residual = update(SMALL, 1) * np.float32(0.5)
    sent = encode_update(
        update(SMALL), SMALL, make_codec(codec), rng, residual=residual, clip_norm=0.5
    )
    assert 0.2 < np.linalg.norm(sent.delta) <= 0.5
    if sent.residual is not None:
        assert np.linalg.norm(sent.residual) < 1, "what the clip cut off does not come back"


def test_an_update_that_is_short_enough_is_left_as_it_is() -> None:
    rng, vector = np.random.default_rng(0), update(SMALL)
    sent = encode_update(vector.copy(), SMALL, make_codec("float32"), rng, clip_norm=1e6)
    np.testing.assert_array_equal(sent.delta, vector)
