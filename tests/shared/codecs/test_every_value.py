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


@given(vector=vectors.map(lambda vector: vector / np.float32(4)), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_int8_is_less_than_one_step_away(vector: Weights, seed: int) -> None:
    found = split(decoded("int8", vector, seed), SMALL)
    for tensor, values in split(vector, SMALL).items():
        step = np.abs(values).max().astype(np.float64) / 127
        error = np.abs(found[tensor].astype(np.float64) - values)
        # A scale below the normal numbers is itself rounded, by up to 7e-46; 127 times that.
        assert (error <= step * 1.0001 + 1e-43).all()


def test_int8_is_right_on_average() -> None:
    vector = update(SMALL)
    draws = 400
    mean = np.mean([decoded("int8", vector, seed) for seed in range(draws)], 0, dtype=np.float64)
    for tensor, values in split(vector, SMALL).items():
        step = np.abs(values).max() / 127
        # The standard deviation of rounding is at most half a step; five of the mean's.
        error = split(mean.astype(np.float32), SMALL)[tensor] - values
        assert (np.abs(error) <= 5 * 0.5 * step / np.sqrt(draws)).all()


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0, -0.0])
def test_a_wrong_scale_is_found(scale: float) -> None:
    codec = make_codec("int8")
    arrays = codec.encode(update(SMALL), SMALL, np.random.default_rng(0))
    arrays["scales"][1] = scale
    with pytest.raises(WeightsError, match="a scale is negative or not finite"):
        codec.decode(InMemory(arrays), SMALL)
