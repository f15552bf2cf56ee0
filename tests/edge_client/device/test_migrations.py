"""The store's versions: an old file is brought to the newest one, whole or not at all."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_client.device.damage import damage, salvage
from edge_client.device.database import store_errors
from edge_client.device.device import Device
from edge_client.device.migrations import migrate, version_of
from edge_client.device.settings import DeviceSettings
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from shared.task import DEFAULT_TASK
from tests.edge_client.device.old import OLD


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Copy the store of version 1."""
    path = tmp_path / "examples.sqlite"
    shutil.copy(OLD / "examples.sqlite", path)
    return path


def frames(seed: int) -> bytes:
    """Give what the old store was filled with."""
    return np.random.default_rng(seed).standard_normal((4, 34), np.float32).tobytes()


def has_everything(path: Path) -> None:
    """Look into a store that is of the newest version."""
    with ExampleStore(path, limit_mb=1) as store:
        assert store.task == DEFAULT_TASK
        labelled = {"angry": 0, "happy": 1, "neutral": 0, "sad": 1}
        assert store.counts() == labelled | {"unlabelled": 2, "discarded": 1}
        known = [store.get(number) for number in range(1, 6)]
        assert {one.front_end for one in known} == {"paper34 1"}
        assert [one.predicted for one in known] == [None, *["happy"] * 4]
        assert known[1].probabilities == (0.1, 0.6, 0.2, 0.1)
        assert [one.speaker for one in known] == [None, "Ada", None, None, None]
        assert [own.tobytes() for _, own in store.read(range(1, 6))] == [*map(frames, range(5))]
        assert (store.statistics() or {})["count"] == 20
        assert store.labelled(9) == [2, 3]


def test_an_old_store_is_brought_to_this_version(path: Path) -> None:
    has_everything(path)
    assert not damage(path)
    with closing(sqlite3.connect(path)) as connection:
        assert version_of(connection) == 3


def test_a_device_goes_on_with_it(path: Path) -> None:
    with Device(DeviceSettings(state=path.parent)) as device:
        assert device.problem is None
        assert len(device.example_keys()) == 2
        assert device.recognising.statistics()["count"] == 20
        assert device.correct(5, "happy").predicted == "happy"


def test_a_store_that_was_ended_while_it_was_made_is_made(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with ExampleStore(path, limit_mb=1) as store:
        assert store.recent(9) == []


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from edge_client.device.migrations import migrate

left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA cache_size = 1")
connection.set_trace_callback(count)
migrate(connection, Path(sys.argv[1]))
"""


def test_a_migration_killed_at_any_statement_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    versions = []
    for statements in range(40):
        path = tmp_path / f"{statements}.sqlite"
        shutil.copy(OLD / "examples.sqlite", path)
        command = [sys.executable, "-c", KILLED, str(path), str(statements)]
        ended = subprocess.run(command, check=False)
        with closing(sqlite3.connect(path)) as connection:
            versions.append(version_of(connection))
            columns = [row[1] for row in connection.execute("PRAGMA table_info(examples)")]
        assert ("front_end" in columns) == (versions[-1] >= 2)
        assert ("unsure" in columns) == (versions[-1] == 3)
        assert not damage(path)
        has_everything(path)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert versions == sorted(versions)
    assert (set(versions), versions[-1], versions[-2]) == ({1, 2, 3}, 3, 2)
    assert versions.count(1) > 10


def test_a_full_disk_leaves_the_old_and_is_said(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(6):  # so that the new index needs more pages than the old one has
            connection.execute(
                "INSERT INTO examples SELECT NULL, heard_at, seconds, source, speaker, "
                "probabilities, label, 1, checksum, frames FROM examples"
            )
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StorageError, match="disk is full"), store_errors(path):
            migrate(connection, path)
        assert version_of(connection) == 1
        connection.execute("DELETE FROM examples WHERE id > 5")
    has_everything(path)


def test_a_newer_store_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 4")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another version of chorus-edge, which is newer"):
        ExampleStore(path, limit_mb=1)
    assert path.read_bytes() == before


def test_processes_that_open_an_old_store_at_once_do_not_disturb_each_other(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_client.device.store import ExampleStore\n"
        "ExampleStore(Path(sys.argv[1]), limit_mb=1).close()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    for opening in [subprocess.Popen(command) for _ in range(4)]:
        assert opening.wait() == 0
    has_everything(path)


def test_what_a_damaged_old_store_still_holds_is_taken_over(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX examples_same")
        connection.execute("DROP VIEW recognitions")
    with ExampleStore(path.with_name("new.sqlite"), limit_mb=1) as store:
        salvage(store, path)
        assert len(store.kept()) == 4
        assert store.labelled(9) == [2, 3]
        assert [known.predicted for known in store.recent(9)] == [*["happy"] * 3, None]
