from pathlib import Path

import pytest

from tests.aggregator.server.serves import Serves
from tests.aggregator.server.updates import update_of


@pytest.fixture
def alone(tmp_path: Path, tiny: None) -> Serves:
    del tiny
    return Serves(tmp_path)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return update_of("anna", tmp_path)
