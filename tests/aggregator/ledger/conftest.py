"""A federation, and a copy of it in one file."""

from pathlib import Path

import pytest

from aggregator.ledger.backup import back_up
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from tests.aggregator.driver import come, play, put, random_update, settings

Saved = tuple[Federation, Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Play two rounds, and copy the federation while the third is open, with one update."""
    federation = Federation(settings(tmp_path / "first", strategy="fedadam", rounds=8))
    step = come(federation)
    for _ in range(2):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # a round opens each time
    put(federation, 3, random_update("anna", 3))
    file = tmp_path / "backup.tar"
    back_up(federation.folder, file)
    return federation, file
