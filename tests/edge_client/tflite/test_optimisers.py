"""The optimisers against Keras."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.tflite.optimisers import make_optimiser, room
from shared.training import TrainingSettings
from tests.edge_client.tflite.cases import MOMENTUM, RATE
from tests.edge_client.tflite.conftest import Reference

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": MOMENTUM},
}


def run(name: str, start: NDArray[np.float32], gradients: NDArray[np.float32]) -> Any:
    optimiser = make_optimiser(TrainingSettings(learning_rate=RATE, **SETTINGS[name]), start.size)
    weights, spare = start.copy(), room()
    for step, gradient in enumerate(gradients, 1):
        optimiser.begin_step(step)
        for where in (slice(0, 300), slice(300, start.size)):
            optimiser.update(weights[where], gradient[where], where, spare)
    return weights


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_to_keras(name: str, reference: Reference) -> None:
    arrays = reference("optimisers")
    found = run(name, arrays["start"], arrays["gradients"])
    assert np.abs(found - arrays[name]).max() <= 3e-7
    assert np.abs(found - arrays["start"]).max() > 1e-3


def test_slots_that_are_given_are_copied() -> None:
    slots = {"m": np.ones(4, np.float32), "v": np.ones(4, np.float32)}
    optimiser = make_optimiser(TrainingSettings(), 4, slots)
    optimiser.begin_step(1)
    ones = np.ones(4, np.float32)
    optimiser.update(ones.copy(), 3 * ones, slice(0, 4), room())
    assert (slots["m"] == 1).all()
    assert (optimiser.slots["m"] != 1).all()
