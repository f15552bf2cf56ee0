"""A device with a model, started as often as a test likes; and a store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.device.store import ExampleStore
from shared.weights import (
    Weights,
    initial_weights,
    save_weights,
)
from tests.edge_client.device.heard import CONV, NOON, Open


@pytest.fixture(scope="module")
def weights() -> Weights:
    return initial_weights(CONV, np.random.default_rng(0))


@pytest.fixture
def start(tmp_path: Path, weights: Weights) -> Iterator[Open]:
    """Start a device in the same state folder each time, with a model."""
    path = tmp_path / "first.safetensors"
    save_weights(path, weights, CONV)
    opened: list[Device] = []

    def start(*, model: bool = True, **settings: Any) -> Device:
        settings = {"state": tmp_path / "state", "weights": path if model else None, **settings}
        device = Device(DeviceSettings(**settings), clock=lambda: NOON)
        opened.append(device)
        return device

    yield start
    for device in opened:
        device.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    """Open an empty store."""
    with ExampleStore(tmp_path / "examples.sqlite", limit_mb=10) as store:
        yield store
