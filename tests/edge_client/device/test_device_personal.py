"""The device learns from what its person says."""

import threading

import numpy as np
import pytest

from edge_client.device.personalising import Learning
from edge_client.learning.personal_model import PersonalModel
from shared.weights import Weights, digest
from tests.brokers import BOUND, wait_until
from tests.edge_client.device.heard import CONV, Open, hear, use_weights

UNDECIDED = PersonalModel(
    np.zeros((1, 34)), np.zeros(1), np.zeros((1, 1, 4)), np.ones(1), 0.2, np.zeros(1, np.int32)
)
"""A personal model that knows nothing."""


def test_a_personal_model_recognises_until_another_global_one_comes(
    start: Open, weights: Weights
) -> None:
    device = start()
    use_personal, named = device.recognising.use_personal, digest(weights, CONV)
    with_global = hear(device).probabilities
    assert not use_personal(UNDECIDED, digest(weights + 1, CONV), 0)
    assert not use_personal(UNDECIDED, named, 1)
    assert device.status()["training"] is None
    assert use_personal(UNDECIDED, named, 0)
    assert device.status()["model"]["personal"]
    assert device.status()["training"] == {"examples": 1}
    assert hear(device).probabilities == pytest.approx((0.25,) * 4)
    assert use_personal(None, named, 0)
    assert hear(device).probabilities == pytest.approx(with_global, abs=1e-6)
    assert use_personal(UNDECIDED, named, 0)
    use_weights(device, weights, named)
    assert not device.status()["model"]["personal"]


def test_the_device_learns_from_each_correction(start: Open, weights: Weights) -> None:
    device = start()
    learner = Learning(device)
    first = hear(device)
    device.correct(first.identifier, "sad")
    wait_until(lambda: device.status()["model"]["personal"], "it has learned")
    again = hear(device)
    assert again.probabilities is not None
    assert first.probabilities is not None
    assert again.probabilities[3] > first.probabilities[3]
    use_weights(device, -weights, digest(-weights, CONV))  # another model: it learns anew
    wait_until(lambda: device.status()["model"]["personal"], "it has learned with the new model")
    device.delete_everything()
    assert not device.status()["model"]["personal"]
    assert device.status()["training"] is None
    learner.close()


def test_who_is_handed_the_same_model_again_goes_on_with_what_it_has_learned(
    start: Open, weights: Weights
) -> None:
    """As after a restart: the federation announces the model that the device has already."""
    device = start()
    device.correct(hear(device).identifier, "sad")
    learner = Learning(device)
    wait_until(lambda: device.status()["model"]["personal"], "it has learned")
    use_weights(device, weights, digest(weights, CONV))
    wait_until(lambda: device.status()["model"]["personal"], "it has learned again")
    learner.close()


def test_without_a_label_nothing_is_said_to_be_learned(start: Open) -> None:
    device = start()
    hear(device)
    looked = threading.Event()
    device.subscribe(lambda event: looked.set() if event.kind == "status" else None)
    learner = Learning(device)
    assert looked.wait(BOUND), "it looks as it begins"
    learner.close()
    assert device.status()["training"] is None
