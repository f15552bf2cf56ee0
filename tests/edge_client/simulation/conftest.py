"""A tiny model in the place of the convolutional one."""

import pytest

from shared.architectures import ARCHITECTURES, Architecture
from tests.edge_client.tiny import TINY


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Architecture:
    """Let ``conv`` be the tiny model."""
    monkeypatch.setitem(ARCHITECTURES, "conv", TINY)
    return TINY
