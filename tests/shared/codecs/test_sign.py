"""The codec that writes signs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs import Codec, make_codec
from shared.codecs.codec import InMemory
from shared.codecs.sign import Sign
from shared.codecs.top import Top
from shared.codecs.update_file import encode_update
from shared.errors import WeightsError
from shared.weights import split
from tests.shared.codecs.models import MIDDLE, SMALL, update

SIGN = make_codec("sign")


@given(st.integers(0, 2**32))
def test_it_is_the_sign_times_the_stretched_mean_magnitude_of_the_channel(seed: int) -> None:
    vector = update(SMALL, seed)
    arrays = SIGN.encode(vector, SMALL, np.random.default_rng(0))
    found = split(SIGN.decode(InMemory(arrays), SMALL)[:], SMALL)
    for tensor, values in split(vector, SMALL).items():
        axes = tuple(range(values.ndim - 1)) if values.ndim > 1 else None
        mean = np.abs(values).mean(axes, dtype=np.float64)
        expected = 1.5 * mean * np.where(values >= 0, 1, -1)
        np.testing.assert_allclose(found[tensor], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "codec", [SIGN, *(Top(percent, Sign(per_channel=False, zeros=False)) for percent in (10, 1))]
)
def test_what_is_left_out_does_not_grow_from_update_to_update(codec: Codec) -> None:
    rng = np.random.default_rng(0)
    residual, norms = np.zeros(MIDDLE.parameters, np.float32), []
    for _ in range(300):
        delta = rng.standard_normal(MIDDLE.parameters, np.float32)
        encoded = encode_update(delta, MIDDLE, codec, rng, residual=residual)
        assert encoded.residual is not None
        residual = encoded.residual
        norms.append(float(np.linalg.norm(residual)))
    assert max(norms[200:]) < 1.1 * max(norms[100:200])


def test_it_costs_little_more_than_a_bit_a_value() -> None:
    arrays = SIGN.encode(update(MIDDLE), MIDDLE, np.random.default_rng(0))
    assert arrays["bits"].nbytes == -(-MIDDLE.parameters // 8)
    assert arrays["scales"].nbytes == 4 * (128 + 1 + 5 + 1 + 4 + 1)


def test_a_channel_that_did_not_change_stays() -> None:
    vector = update(SMALL)
    split(vector, SMALL)["conv1/kernel"][..., 1] = 0
    arrays = SIGN.encode(vector, SMALL, np.random.default_rng(0))
    found = split(SIGN.decode(InMemory(arrays), SMALL)[:], SMALL)["conv1/kernel"]
    assert not found[..., 1].any()
    assert found[..., 0].all()


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0])
def test_a_wrong_scale_is_found(scale: float) -> None:
    arrays = SIGN.encode(update(SMALL), SMALL, np.random.default_rng(0))
    arrays["scales"][1] = scale
    with pytest.raises(WeightsError, match="a scale is negative or not finite"):
        SIGN.decode(InMemory(arrays), SMALL)
