"""Features that are rebuilt from updates."""

import numpy as np
import pytest

from edge_client.simulation.keras_engine import KerasEngine
from edge_client.simulation.studies.attacks.reconstruction import Features, likeness, rebuild
from edge_client.simulation.studies.attacks.updates import encoded, gradient_of
from shared.architectures import Architecture
from shared.layers import HEAD, Conv1D, Dense
from shared.training import Examples
from shared.weights import initial_weights
from tests.edge_client.tiny import examples

LINEAR = Architecture("head", (Dense("logits", 4, hidden=False),))
DEEP = Architecture(
    "conv", (Conv1D("conv1", 64), Dense(HEAD, 32), Dense("logits", 4, hidden=False))
)


def attack(
    architecture: Architecture, count: int, codec: str = "float32"
) -> tuple[Features, Examples]:
    """Take a step on some examples, and rebuild them from it."""
    engine = KerasEngine(architecture)
    own, rng = examples(count, seed=1), np.random.default_rng(0)
    weights = initial_weights(architecture, rng)
    update = encoded(gradient_of(engine, weights, own), architecture, codec, "a")
    return rebuild(architecture, weights, update, own.labels, rng), own


def test_one_example_of_a_linear_model_is_rebuilt_exactly() -> None:
    found, own = attack(LINEAR, 1)
    np.testing.assert_allclose(found, own.features, atol=1e-3)


@pytest.mark.parametrize("codec", ["int8", "sign", "top5-int8"])
def test_no_codec_hides_it(codec: str) -> None:
    found, own = attack(LINEAR, 1, codec)
    assert likeness(found, own.features, own.frames) > 0.3


def test_many_examples_of_a_linear_model_are_mixed() -> None:
    three, own = attack(LINEAR, 3)
    assert likeness(three, own.features, own.frames) > 0.5
    many, own = attack(LINEAR, 32)
    assert likeness(many, own.features, own.frames) < 0.5


def test_one_example_is_found_through_a_convolution() -> None:
    found, own = attack(DEEP, 1)
    assert likeness(found, own.features, own.frames) > 0.7


def test_likeness_finds_the_order_and_leaves_out_what_lies_behind_the_end() -> None:
    own = examples(3)
    turned = own.features[[2, 0, 1]] * 5 + 1
    assert likeness(turned, own.features, own.frames) == pytest.approx(1)
    frames = np.full(3, 4, np.int32)
    turned[:, 4:] = 99
    assert likeness(turned, own.features, frames) == pytest.approx(1)
