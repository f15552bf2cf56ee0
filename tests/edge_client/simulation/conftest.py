"""A tiny model in the place of the convolutional one."""

import pytest

from shared.architectures import Architecture
from tests.architectures import replace_model
from tests.edge_client.tiny import TINY


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Architecture:
    """Let ``conv`` be the tiny model."""
    replace_model(monkeypatch, TINY)
    return TINY


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pretend to draw, which takes longer than everything else together."""
    for name in ("confusion", "history", "partition", "reliability"):
        target = f"edge_client.simulation.run.draw_{name}"
        monkeypatch.setattr(target, lambda _, path, *__: path.touch())
