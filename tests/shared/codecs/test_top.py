"""The codecs that keep the largest values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.codecs import make_codec
from shared.codecs.codec import InMemory
from shared.codecs.float32 import Float32
from shared.codecs.int8 import Int8
from shared.codecs.top import Top, largest
from shared.errors import WeightsError
from shared.weights import Weights
from tests.shared.codecs.models import MIDDLE, SMALL, update

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
few = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0])
"""Values that are often equal."""


@given(
    hnp.arrays(np.float32, st.integers(1, 400), elements=finite | few),
    st.floats(0, 1, exclude_min=True),
)
@settings(max_examples=200, deadline=None)
def test_the_largest_are_found_and_of_equal_ones_the_first(vector: Weights, share: float) -> None:
    count = int(np.ceil(share * len(vector)))
    expected = np.sort(np.argsort(-np.abs(vector), kind="stable")[:count])
    assert largest(vector, count).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [1, 3797, 65536, 70000, MIDDLE.parameters])
def test_in_a_long_vector_too(count: int) -> None:
    vector = np.round(update(MIDDLE), 3)  # many are equal
    expected = np.sort(np.argsort(-np.abs(vector), kind="stable")[:count])
    assert largest(vector, count).tolist() == expected.tolist()


@pytest.mark.parametrize("percent", [10, 5, 1])
def test_what_is_kept_is_exact_and_the_rest_is_zero(percent: int) -> None:
    vector = update(MIDDLE)
    codec = Top(percent, Float32())
    arrays = codec.encode(vector, MIDDLE, np.random.default_rng(0))
    found = codec.decode(InMemory(arrays), MIDDLE)[:]
    kept = largest(vector, -(-MIDDLE.parameters * percent // 100))
    expected = np.zeros_like(vector)
    expected[kept] = vector[kept]
    assert found.tobytes() == expected.tobytes()


def test_a_block_may_be_kept_whole() -> None:
    vector = np.zeros(MIDDLE.parameters, np.float32)
    vector[255 : 255 + 600] = np.arange(1, 601)
    codec = Top(1, Float32())
    arrays = codec.encode(vector, MIDDLE, np.random.default_rng(0))
    assert arrays["counts"][1:3].tolist() == [255, 255]
    assert codec.decode(InMemory(arrays), MIDDLE)[:].tobytes() == vector.tobytes()


def test_scales_are_those_of_what_is_kept() -> None:
    vector = update(SMALL)
    codec = make_codec("top5-int8")
    arrays = codec.encode(vector, SMALL, np.random.default_rng(0))
    kept = largest(vector, len(arrays["values"]))
    expected = np.zeros_like(vector)
    expected[kept] = vector[kept]
    alike = make_codec("int8").encode(expected, SMALL, np.random.default_rng(0))
    assert arrays["scales"].tolist() == alike["scales"].tolist()
    found = codec.decode(InMemory(arrays), SMALL)[:]
    assert set(np.flatnonzero(found)) <= set(kept)
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


def test_of_signs_the_magnitude_is_that_of_what_is_kept() -> None:
    vector = update(MIDDLE)
    codec = make_codec("top10-sign")
    arrays = codec.encode(vector, MIDDLE, np.random.default_rng(0))
    places = largest(vector, len(arrays["positions"]))
    found = codec.decode(InMemory(arrays), MIDDLE)[:]
    assert np.flatnonzero(found).tolist() == places.tolist()
    assert (np.sign(found[places]) == np.sign(vector[places])).all()
    for spec in MIDDLE.manifest:
        kept = places[(places >= spec.offset) & (places < spec.where.stop)]
        if len(kept):
            mean = np.abs(vector[kept]).mean(dtype=np.float64)
            np.testing.assert_allclose(np.abs(found[kept]), 1.5 * mean, rtol=1e-6)


def test_ten_signs_of_a_hundred_cost_less_than_a_bit_a_value() -> None:
    arrays = make_codec("top10-sign").encode(update(MIDDLE), MIDDLE, np.random.default_rng(0))
    assert sum(array.nbytes for array in arrays.values()) < MIDDLE.parameters / 8


def test_one_value_in_a_hundred_costs_less_than_three_bytes() -> None:
    layout = Top(1, Int8()).layout(MIDDLE)
    total = sum(form.size * {"U8": 1, "I8": 1, "F32": 4}[form.dtype] for form in layout.values())
    assert total < 0.03 * MIDDLE.parameters


@pytest.mark.parametrize(
    ("name", "where", "value", "why"),
    [
        ("positions", 1, 0, "not in order"),
        ("positions", 0, 255, "not in order"),
        ("positions", 2, 255, "not in order"),
        ("positions", -1, 254, "beyond the model's"),
        ("counts", 0, 4, "count 20 values, it has 19"),
        ("counts", 7, 0, "count 18 values, it has 19"),
    ],
)
def test_wrong_places_are_found(name: str, where: int, value: int, why: str) -> None:
    codec = Top(1, Int8())
    vector = np.zeros(SMALL.parameters, np.float32)
    vector[[3, 4, 5, *range(300, 315), 1800]] = 1
    arrays = codec.encode(vector, SMALL, np.random.default_rng(0))
    arrays[name][where] = value
    with pytest.raises(WeightsError, match=why):
        codec.decode(InMemory(arrays), SMALL)[:]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_places_are_read_or_refused(data: st.DataObject) -> None:
    codec = Top(1, Int8())
    arrays = codec.encode(update(SMALL), SMALL, np.random.default_rng(0))
    for _ in range(data.draw(st.integers(1, 5))):
        array = arrays[data.draw(st.sampled_from(["counts", "positions"]))]
        array[data.draw(st.integers(0, len(array) - 1))] = data.draw(st.integers(0, 255))
    try:
        vector = codec.decode(InMemory(arrays), SMALL)
        read = vector[:]
    except WeightsError:
        return
    assert len(read) == SMALL.parameters
    again = np.concatenate([vector[start : start + 100] for start in range(0, len(read), 100)])
    assert again.tobytes() == read.tobytes()
