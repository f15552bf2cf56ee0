"""What is deleted, discarded or has made way is overwritten on the disk, and needs no room for it.

The files are looked at through descriptors that were open before: what SQLite cut off or removed
without overwriting it would not be seen otherwise.
"""

import multiprocessing.pool
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from edge_client.device.beginning import earlier_task
from edge_client.device.damage import damage, last_number, readable_rows
from edge_client.device.database import Database
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from tests.disk import mounted
from tests.edge_client.device.heard import Open, frames, hear, recognised
from tests.killing import killed

MANY = 60


class Watched:
    """The files of a store and how long they were, whatever becomes of their names."""

    def __init__(self, *files: BinaryIO) -> None:
        self._files = {file: os.fstat(file.fileno()).st_size for file in files}

    def content(self) -> bytes:
        """Give what is on the disk where the files were; raise if a part was cut off."""
        parts = []
        for file, size in self._files.items():
            file.seek(0)
            parts.append(file.read())
            assert len(parts[-1]) >= size, f"the end of {file.name} was not overwritten"
        return b"".join(parts)


@contextmanager
def watched(path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        files = (path.with_name(path.name + end) for end in ("", "-wal"))
        yield Watched(*(stack.enter_context(file.open("rb")) for file in files if file.exists()))


def piece(seed: int) -> bytes:
    """Give bytes of an utterance that are in no other."""
    return frames(seed, 100).tobytes()[6400:6464]


def fill(store: ExampleStore, seeds: range) -> None:
    for seed in seeds:
        store.label(store.add(recognised(), frames(seed, 100)), "sad")


def found(content: bytes, seeds: range) -> list[int]:
    return [seed for seed in seeds if piece(seed) in content]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Fill a store on one day."""
    path = DeviceFolder(tmp_path / "state").examples
    with ExampleStore(path, limit_mb=10) as store:
        fill(store, range(MANY))
    return path


def test_deleting_everything_overwrites_the_file_and_its_log(path: Path) -> None:
    with ExampleStore(path, limit_mb=10) as store:
        fill(store, range(MANY, MANY + 5))
        with watched(path) as files:
            assert found(files.content(), range(MANY + 5)) == [*range(MANY + 5)]
            store.delete_all()
            assert not found(files.content(), range(MANY + 5))
        assert store.task == ExampleStore(path, limit_mb=10).task
        assert store.add(recognised(), frames(0)) == MANY + 6


def test_it_waits_for_who_reads(path: Path) -> None:
    with ExampleStore(path, limit_mb=10) as store:
        reading = store.read(range(1, MANY + 1))
        next(reading)
        deleting = multiprocessing.pool.ThreadPool(1).apply_async(store.delete_all)
        assert [known.identifier for known, _ in reading] == [*range(2, MANY + 1)]
        deleting.get(60)
        assert not store.kept()


def test_who_reads_for_ever_is_not_waited_for_as_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_client.device.database.BUSY_SECONDS", 0.05)
    with ExampleStore(path, limit_mb=10) as store:
        reading = store.read(range(1, MANY + 1))
        next(reading)
        store.delete_all()
        with suppress(StorageError):
            assert not list(reading), "what was deleted is not read"
        fill(store, range(3))
    with ExampleStore(path, limit_mb=10) as store:
        assert store.labelled(9) == [MANY + 1, MANY + 2, MANY + 3], "the new file is whole"


def test_a_damaged_store_is_deleted_by_a_device_that_runs(path: Path) -> None:
    with ExampleStore(path, limit_mb=10) as store:
        path.write_bytes(b"somebody's letter " * 9999)
        store.delete_all()
        assert not store.kept()
        assert store.add(recognised(), frames(0)) > 0


@pytest.mark.parametrize("room", [0, 8192])
def test_deleting_everything_needs_no_room(tmp_path: Path, room: int) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        path = disk / "examples.sqlite"
        with ExampleStore(path, limit_mb=10) as store:
            fill(store, range(MANY))
        with ExampleStore(path, limit_mb=10) as store:
            free = os.statvfs(disk)
            (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - room))
            store.delete_all()
            assert not store.kept()
            fill(store, range(3))


def test_where_another_program_takes_the_room_the_store_begins_when_there_is_some(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> sqlite3.Connection:
        raise StorageError.full_disk(path)

    with ExampleStore(path, limit_mb=10) as store:
        with monkeypatch.context() as patch:
            patch.setattr("edge_client.device.database.connect", full)
            with pytest.raises(StorageError, match="disk is full"):
                store.delete_all()
        assert not store.kept()
        assert store.add(recognised(), frames(0)) == 1


def test_what_was_discarded_is_overwritten_when_the_device_ends(
    start: Open, tmp_path: Path
) -> None:
    device = start()
    for seed in range(20):
        hear(device, seed)
    path, numbers = tmp_path / "state" / "examples.sqlite", range(3, 18, 2)
    kept = {
        known.identifier: own.tobytes()[400:464] for known, own in device._store.read(range(21))
    }
    for number in numbers:
        device.discard(number)
    with watched(path) as files:
        device.close()
        left = files.content() + path.read_bytes()
    assert [number for number, own in kept.items() if own in left] == [
        number for number in kept if number not in numbers
    ]
    assert not path.with_name("examples.sqlite-wal").exists()


def test_what_has_made_way_is_overwritten_when_the_device_ends(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path, limit_mb=0.5) as store:
        for seed in range(MANY):
            store.add(recognised(), frames(seed, 100))
        assert (first := store.kept()[0] - 1) > 10
        with watched(path) as files:
            store.close()
            left = files.content() + path.read_bytes()
    assert found(left, range(MANY)) == [*range(first, MANY)]


def opened(path: Path) -> None:
    ExampleStore(path, limit_mb=10).close()


def looked_at(path: Path) -> None:
    assert earlier_task(DeviceFolder(path.parent))


def looked_through(path: Path) -> None:
    assert not damage(path)


def read_row_by_row(path: Path) -> None:
    assert len([*readable_rows(path)]) == last_number(path) == MANY


@pytest.mark.parametrize("look", [opened, looked_at, looked_through, read_row_by_row])
def test_the_log_that_a_killed_device_left_is_overwritten_by_whoever_closes_the_store(
    tmp_path: Path, look: Callable[[Path], object]
) -> None:
    path = tmp_path / "examples.sqlite"

    def fill_and_die() -> None:
        fill(ExampleStore(path, limit_mb=10), range(MANY))
        os.kill(os.getpid(), signal.SIGKILL)

    assert killed(fill_and_die)
    log = path.with_name("examples.sqlite-wal")
    with log.open("rb") as left:
        assert found(left.read(), range(MANY))
        look(path)
        assert not log.exists()
        left.seek(0)
        assert not left.read().strip(b"\0")
    with ExampleStore(path, limit_mb=10) as store:
        assert len(store.labelled(100)) == MANY


def test_a_log_that_has_become_long_is_overwritten_by_the_next_who_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_client.device.database.LONGEST_LOG", 100_000)
    log = path.with_name("examples.sqlite-wal")
    more = [(recognised(), frames(seed, 100).tobytes()) for seed in range(MANY, 2 * MANY)]
    with ExampleStore(path, limit_mb=10) as store:
        with ExampleStore(path, limit_mb=10) as importing:
            importing.take(more)
        assert log.stat().st_size > 100_000
        reading = store.read(range(1, MANY + 1))
        next(reading)
        store.add(recognised(), frames(2 * MANY, 100))
        assert len([*reading]) == MANY - 1
        assert log.stat().st_size > 100_000
        with log.open("rb") as before:
            assert found(before.read(), range(MANY, 2 * MANY))
            store.add(recognised(), frames(2 * MANY + 1, 100))
            before.seek(0)
            assert not before.read().strip(b"\0")
        assert 0 < log.stat().st_size < 100_000
        assert store.changed_elsewhere(), "it is still to be noticed"
        assert not store.changed_elsewhere()
    with ExampleStore(path, limit_mb=10) as store:
        assert len(store.kept()) == 2 * MANY + 2


def test_a_log_that_stays_long_is_looked_at_again_when_it_has_grown_as_much_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_client.device.database.LONGEST_LOG", 100_000)
    log = path.with_name("examples.sqlite-wal")
    seeds = iter(range(MANY, 3 * MANY))
    with ExampleStore(path, limit_mb=10) as store:
        with ExampleStore(path, limit_mb=10):
            while not log.exists() or log.stat().st_size <= 100_000:
                store.add(recognised(), frames(next(seeds), 100))
            store.add(recognised(), frames(next(seeds), 100))  # this one tries it in vain
            store.changed_elsewhere()
            store.add(recognised(), frames(next(seeds), 100))
            assert not store.changed_elsewhere(), "its own utterance is no news"
        with log.open("rb") as before:
            assert found(before.read(), range(MANY, next(seeds)))
            while log.stat().st_size > 100_000:
                store.add(recognised(), frames(next(seeds), 100))
            before.seek(0)
            assert not before.read().strip(b"\0")


def test_what_others_changed_is_noticed_although_there_was_no_room_to_begin_the_log_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> sqlite3.Connection:
        raise StorageError.full_disk(path)

    with ExampleStore(path, limit_mb=10) as store:
        store.label(1, "happy")
        with monkeypatch.context() as patch:
            patch.setattr("edge_client.device.database.LONGEST_LOG", 0)
            patch.setattr("edge_client.device.database.connect", full)
            with pytest.raises(StorageError, match="disk is full"):
                store.label(2, "happy")
        with ExampleStore(path, limit_mb=10) as other:
            other.label(3, "happy")
        assert store.get(3).label == "happy"
        assert store.changed_elsewhere()
        assert not store.changed_elsewhere()


def test_a_log_that_another_connection_uses_is_left_alone(path: Path) -> None:
    with closing(Database(path)) as one, closing(Database(path)):
        log = path.with_name("examples.sqlite-wal")
        with one.writing() as connection:
            connection.execute("UPDATE examples SET label = 'happy'")
        with one.reading() as reading:
            reading.execute("SELECT 1 FROM examples").fetchall()
        one.close()
        assert log.read_bytes().strip(b"\0")
    with ExampleStore(path, limit_mb=10) as store:
        assert store.counts()["happy"] == MANY
