"""A store whose file is damaged, foreign, or on a full disk."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_client.device.beginning import earlier_task
from edge_client.device.damage import damage, replace_damaged
from edge_client.device.normalised import mark_of, normalisation_beside
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from shared.task import DEFAULT_TASK
from tests.edge_client.device.heard import NOON, add_labelled, frames, labelled, recognised


def filled(path: Path, count: int = 40) -> None:
    with ExampleStore(path, limit_mb=10) as store:
        add_labelled(store, range(count))


def test_what_a_damaged_file_still_holds_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    filled(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 3 * 4096] = b"\xa5" * 3 * 4096
    path.write_bytes(data)
    assert damage(path)
    found = replace_damaged(path, NOON, lambda made: ExampleStore(made, limit_mb=10))
    assert found
    assert found[0].read_bytes() == data
    assert not damage(path)
    with ExampleStore(path, limit_mb=10) as store:
        stored = labelled(store)
        assert 30 <= len(stored.recognitions) < 40
        drawn = {frames(seed, 100).tobytes() for seed in range(40)}
        assert {features.tobytes() for features in stored.features} <= drawn


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    path.write_bytes(b"somebody's letter " * 1000)
    assert "not a database" in damage(path)
    with pytest.raises(StorageError, match="damaged"):
        ExampleStore(path, limit_mb=10)
    assert path.read_bytes().startswith(b"somebody's letter")


def test_a_pipe_in_its_place_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "examples.sqlite")
    with pytest.raises(StorageError, match="it is a pipe") as caught:
        ExampleStore(path, limit_mb=10)
    assert "Move it away" in caught.value.remedy
    assert earlier_task(DeviceFolder(tmp_path)) is None


def test_pipes_in_other_places_are_said_and_not_waited_for(tmp_path: Path) -> None:
    folder = DeviceFolder(tmp_path)
    os.mkfifo(folder.personal)
    with pytest.raises(StorageError, match="it is a pipe"):
        folder.delete_everything()
    os.mkfifo(mark_of(folder.model))
    with pytest.raises(OSError, match="it is not a file"):
        normalisation_beside(folder.model, DEFAULT_TASK)


def test_a_changed_byte_drops_one_utterance(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    filled(path, 5)
    data = path.read_bytes()
    piece = frames(2, 100).tobytes()[40:80]
    assert data.count(piece) == 1
    path.write_bytes(data.replace(piece, piece[::-1]))
    with ExampleStore(path, limit_mb=10) as store:
        assert [known.identifier for known, _ in store.read(range(6))] == [1, 2, 4, 5]


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    filled(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="another version"):
        ExampleStore(path, limit_mb=10)


def test_a_full_disk_is_said_and_what_was_kept_stays(store: ExampleStore) -> None:
    store.label(store.add(recognised(), frames(0)), "sad")
    pages = store._database.connection.execute("PRAGMA page_count").fetchone()[0]
    store._database.connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(StorageError, match="disk is full"):
        add_labelled(store, range(1, 9))
    kept = store.counts()
    assert kept["sad"] >= 1
    store._database.connection.execute("PRAGMA max_page_count = 100000")
    store.add(recognised(), frames(9))
    assert store.counts()["unlabelled"] == kept["unlabelled"] + 1
