"""What all codecs promise."""

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.architectures import MODELS, architecture_of
from shared.codecs import CODECS, make_codec
from shared.codecs.codec import InFile, InMemory
from shared.errors import SettingsError, TrainingError
from shared.protocol.messages import Offer
from shared.randomness import stream
from shared.storage.tensor_file import DTYPES, TensorFile, write_tensors
from shared.task import DEFAULT_TASK
from shared.weights import Weights
from tests.shared.codecs.models import MIDDLE, SMALL, update

every_codec = pytest.mark.parametrize("name", list(CODECS))


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def decoded(name: str, vector: Weights) -> Weights:
    codec = make_codec(name)
    return codec.decode(InMemory(codec.encode(vector, SMALL, rng())), SMALL)[:]


def test_their_names_fit_into_messages() -> None:
    (limit,) = (m.max_length for m in Offer.model_fields["codec"].metadata if m)
    assert max(map(len, CODECS)) <= limit
    assert all(make_codec(name).name == name for name in CODECS)


def test_an_unknown_one_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="no codec zip; there are: float32, float16, int8"):
        make_codec("zip")


@every_codec
def test_no_array_is_empty_and_each_is_of_a_known_type(name: str) -> None:
    for model in (SMALL, *(architecture_of(own, DEFAULT_TASK) for own in MODELS)):
        forms = make_codec(name).layout(model).values()
        assert all(form.size > 0 and form.dtype in DTYPES for form in forms)


@every_codec
def test_the_arrays_are_those_of_the_layout(name: str) -> None:
    codec = make_codec(name)
    for vector in (update(SMALL), np.zeros(SMALL.parameters, np.float32)):
        arrays = codec.encode(vector, SMALL, rng())
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        layout = codec.layout(SMALL)
        assert found == {n: (DTYPES[form.dtype], (form.size,)) for n, form in layout.items()}


@every_codec
def test_the_same_vector_and_stream_give_the_same_bytes(name: str) -> None:
    codec = make_codec(name)
    vector = update(MIDDLE)
    before = vector.copy()
    first, second = (codec.encode(vector, MIDDLE, rng()) for _ in range(2))
    assert all(first[part].tobytes() == second[part].tobytes() for part in first)
    assert vector.tobytes() == before.tobytes()


def test_the_bytes_are_those_of_other_machines_and_versions() -> None:
    vector = ((np.arange(SMALL.parameters) * 7919) % 4096 - 2048).astype(np.float32) / 4096
    found = hashlib.sha256()
    for name in CODECS:
        arrays = make_codec(name).encode(vector, SMALL, stream(0, "codec", "client-00000", 1))
        for part in sorted(arrays):
            found.update(arrays[part].tobytes())
    assert found.hexdigest() == "c325ed230d892bb801e67425a4ba697ac7f593653f994fe9f4221aaf5ccfddeb"


@every_codec
def test_from_a_file_any_piece_is_that_of_the_whole(name: str, tmp_path: Path) -> None:
    codec = make_codec(name)
    arrays = codec.encode(update(MIDDLE), MIDDLE, rng())
    whole = codec.decode(InMemory(arrays), MIDDLE)[:]
    write_tensors(tmp_path / "file", {f"x/{n}": array for n, array in arrays.items()}, {})
    vector = codec.decode(InFile(TensorFile(tmp_path / "file"), "x/"), MIDDLE)
    assert len(vector) == len(whole) == MIDDLE.parameters
    edges = [0, 1, 254, 255, 256, 65279, 65280, 65281, 65535, 65536, 65537, 75932, 75933]
    for start in edges:
        for stop in edges:
            piece = vector[start:stop]
            assert piece.dtype == np.float32
            assert piece.tobytes() == whole[start:stop].tobytes()
    assert vector[-5:].tobytes() == whole[-5:].tobytes()
    for taken in (vector, codec.decode(InMemory(arrays), MIDDLE)):
        assert np.asarray(taken).dtype == np.float32
        assert np.asarray(taken).tobytes() == whole.tobytes()
        assert np.linalg.norm(taken) == np.linalg.norm(whole)
    with pytest.raises(ValueError, match="contiguous"):
        vector[::2]


@every_codec
@given(start=st.integers(0, MIDDLE.parameters), length=st.integers(0, 3000))
@settings(max_examples=10, deadline=None)
def test_any_piece_is_that_of_the_whole(name: str, start: int, length: int) -> None:
    codec = make_codec(name)
    arrays, whole = _MIDDLE.setdefault(name, _encoded(name))
    piece = codec.decode(InMemory(arrays), MIDDLE)[start : start + length]
    assert piece.tobytes() == whole[start : start + length].tobytes()


def _encoded(name: str) -> tuple[dict[str, np.ndarray[tuple[int], np.dtype[np.generic]]], Weights]:
    codec = make_codec(name)
    arrays = codec.encode(update(MIDDLE), MIDDLE, rng())
    return arrays, codec.decode(InMemory(arrays), MIDDLE)[:]


_MIDDLE: dict[str, tuple[dict[str, np.ndarray[tuple[int], np.dtype[np.generic]]], Weights]] = {}


@every_codec
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name: str, value: float) -> None:
    vector = update(MIDDLE)
    vector[70_000] = value
    with pytest.raises(TrainingError, match="not finite"):
        make_codec(name).encode(vector, MIDDLE, rng())


@every_codec
def test_another_vector_is_the_caller_s_mistake(name: str) -> None:
    for vector in (update(SMALL)[:-1], update(SMALL).astype(np.float64)):
        with pytest.raises(ValueError, match="1808 float32"):
            make_codec(name).encode(vector, SMALL, rng())  # type: ignore[arg-type] # that is the test


@every_codec
@pytest.mark.parametrize("size", [0, 1e-45, 1e-40, 1e38, 3e38])
def test_the_extremes_of_float32_stay_finite(name: str, size: float) -> None:
    vector = np.full(SMALL.parameters, size, np.float32)
    vector[::2] *= -1
    found = decoded(name, vector)
    assert np.isfinite(found).all()
    most = np.abs(vector, dtype=np.float64) * (1.5001 if "sign" in name else 1.0001) + 1e-43
    assert (np.abs(found) <= most).all()


@every_codec
def test_memory_does_not_grow_with_the_model_but_for_what_is_kept(
    name: str, tmp_path: Path
) -> None:
    conv = architecture_of("conv", DEFAULT_TASK)
    vector = update(conv)
    codec = make_codec(name)
    size = sum(form.size * DTYPES[form.dtype].itemsize for form in codec.layout(conv).values())
    tracemalloc.start()
    arrays = codec.encode(vector, conv, rng())
    encoding = tracemalloc.get_traced_memory()[1]
    write_tensors(tmp_path / "file", arrays, {})
    del arrays
    tracemalloc.reset_peak()
    read = codec.decode(InFile(TensorFile(tmp_path / "file"), ""), conv)
    for start in range(0, len(read), 100_000):
        read[start : start + 100_000]
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Top codecs hold each kept place a few times over while they encode.
    assert encoding < (8 if name.startswith("top") else 1) * size + 4_000_000
    assert reading < 3_000_000
