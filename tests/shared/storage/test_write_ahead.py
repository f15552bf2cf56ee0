"""A new file that several open at once."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from edge_client.device.store import ExampleStore
from shared.features.store import FeatureStore
from shared.storage.write_ahead import write_ahead

AT_ONCE = 6


def open_device_store(folder: Path) -> None:
    with ExampleStore(folder / "examples.sqlite", limit_mb=1) as store:
        assert store.counts()["unlabelled"] == 0


def open_feature_store(folder: Path) -> None:
    with FeatureStore(folder) as store:
        store.add({})
        assert store._usable


@pytest.mark.parametrize("open_it", [open_device_store, open_feature_store])
def test_all_who_open_a_new_file_at_once_get_it(
    open_it: Callable[[Path], None], tmp_path: Path
) -> None:
    together = threading.Barrier(AT_ONCE)

    def open_together(folder: Path) -> None:
        together.wait()
        open_it(folder)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for attempt in range(60):
            for _ in threads.map(open_together, AT_ONCE * [tmp_path / str(attempt)]):
                pass  # what was raised is raised again here


def test_a_file_that_stays_taken_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE it (number INTEGER)")
        other.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(path, timeout=0)) as connection,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            write_ahead(connection, seconds=0.05)
