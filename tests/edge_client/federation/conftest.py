import pytest

from shared.architectures import ARCHITECTURES
from tests.edge_client.tiny import TINY


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny model in the place of ``conv``."""
    monkeypatch.setitem(ARCHITECTURES, "conv", TINY)
