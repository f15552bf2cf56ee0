from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.federation.place import PLACES, Place


@pytest.fixture(params=["deployed", "embedded"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Start a broker of either kind."""
    if request.param == "deployed":
        request.getfixturevalue("needs_mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    with PLACES[request.param](folder) as one:
        yield one
