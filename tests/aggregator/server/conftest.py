from pathlib import Path

import pytest

from tests.aggregator.server.serves import Serves


@pytest.fixture
def alone(tmp_path: Path, tiny: None) -> Serves:
    del tiny
    return Serves(tmp_path)
