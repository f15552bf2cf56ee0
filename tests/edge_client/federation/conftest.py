from pathlib import Path

import pytest

from tests.architectures import replace_model
from tests.edge_client.federation.alone import Alone
from tests.edge_client.tiny import TINY


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tiny model in the place of ``conv``."""
    replace_model(monkeypatch, TINY)


@pytest.fixture
def it(tmp_path: Path) -> Alone:
    return Alone(tmp_path)
