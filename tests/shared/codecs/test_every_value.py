"""The codecs that write every value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.codecs import make_codec
from shared.codecs.codec import InMemory
from shared.errors import WeightsError
from shared.weights import Weights, split
from tests.shared.codecs.models import SMALL, update

vectors = hnp.arrays(
    np.float32,
    SMALL.parameters,
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def decoded(name: str, vector: Weights, seed: int = 0) -> Weights:
    codec = make_codec(name)
    arrays = codec.encode(vector, SMALL, np.random.default_rng(seed))
    return codec.decode(InMemory(arrays), SMALL)[:]


@given(vectors)
@settings(max_examples=25, deadline=None)
def test_float32_is_exact(vector: Weights) -> None:
    assert decoded("float32", vector).tobytes() == vector.tobytes()


@given(vectors)
@settings(max_examples=25, deadline=None)
def test_float16_is_the_nearest_half(vector: Weights) -> None:
    found = decoded("float16", vector)
    inside = np.abs(vector) < 65504
    assert (found[inside] == vector[inside].astype(np.float16)).all()
    assert (found[~inside] == np.sign(vector[~inside]) * 65504).all()


@pytest.mark.parametrize("name", ["int8", "int8-channel"])
@given(vector=vectors.map(lambda vector: vector / np.float32(4)), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_int8_is_less_than_one_step_away(name: str, vector: Weights, seed: int) -> None:
    found = split(decoded(name, vector, seed), SMALL)
    for tensor, values in split(vector, SMALL).items():
        axes = tuple(range(values.ndim - 1)) if name == "int8-channel" and values.ndim > 1 else None
        step = np.abs(values).max(axes).astype(np.float64) / 127
        error = np.abs(found[tensor].astype(np.float64) - values)
        # A scale below the normal numbers is itself rounded, by up to 7e-46; 127 times that.
        assert (error <= step * 1.0001 + 1e-43).all()


@pytest.mark.parametrize("name", ["int8", "int8-channel"])
def test_int8_is_right_on_average(name: str) -> None:
    vector = update(SMALL)
    draws = 400
    mean = np.mean([decoded(name, vector, seed) for seed in range(draws)], 0, dtype=np.float64)
    for tensor, values in split(vector, SMALL).items():
        axes = tuple(range(values.ndim - 1)) if name == "int8-channel" and values.ndim > 1 else None
        step = np.abs(values).max(axes) / 127
        # The standard deviation of rounding is at most half a step; five of the mean's.
        error = split(mean.astype(np.float32), SMALL)[tensor] - values
        assert (np.abs(error) <= 5 * 0.5 * step / np.sqrt(draws)).all()


def test_a_scale_of_each_channel_keeps_the_small_ones() -> None:
    vector = np.zeros(SMALL.parameters, np.float32)
    kernel = split(vector, SMALL)["conv1/kernel"]
    kernel[..., 0], kernel[..., 1] = 1e-4, 1.0
    found = {n: split(decoded(n, vector), SMALL)["conv1/kernel"] for n in ("int8", "int8-channel")}
    np.testing.assert_allclose(found["int8-channel"][..., 0], 1e-4, rtol=1e-2)
    assert set(np.unique(found["int8"][..., 0])) <= {0, np.float32(1) / 127}
    assert not found["int8-channel"][..., 2].any()


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0, -0.0])
def test_a_wrong_scale_is_found(scale: float) -> None:
    codec = make_codec("int8")
    arrays = codec.encode(update(SMALL), SMALL, np.random.default_rng(0))
    arrays["scales"][1] = scale
    with pytest.raises(WeightsError, match="a scale is negative or not finite"):
        codec.decode(InMemory(arrays), SMALL)
