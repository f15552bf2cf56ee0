"""Sound that cannot be deleted: nothing else changes then, and what is said is true."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_client.device import archive
from edge_client.device.sounds import SoundFolder
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from tests.edge_client.device.heard import Open, frames, hear, recognised

LIMIT_MB = 0.2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of sounds in which that of the first utterance cannot be deleted."""
    stuck = tmp_path / "state" / "personal" / "sounds" / "1.flac"
    stuck.mkdir(parents=True)
    return stuck.parent


@pytest.fixture
def full(tmp_path: Path, folder: Path) -> Iterator[ExampleStore]:
    """Fill a store until the first utterance should make way."""
    sounds = SoundFolder(folder, limit_mb=1)
    path = tmp_path / "full.sqlite"
    with ExampleStore(path, limit_mb=LIMIT_MB, sounds=sounds) as store:
        with suppress(StorageError):
            for seed in range(1, 100):
                store.add(recognised(), frames(seed, 100), statistics={"n": seed})
        assert 3 < seed < 99
        assert store.kept() == list(range(1, seed)), "the one that was refused is not there"
        assert store.statistics() == {"n": seed - 1}
        yield store


def test_an_utterance_that_was_said_not_to_be_kept_is_not(full: ExampleStore) -> None:
    before = full.kept()
    with pytest.raises(StorageError, match="Cannot write"):
        full.add(recognised(), frames(99, 100))
    assert full.kept() == before


def test_nor_is_any_of_a_file(full: ExampleStore, tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "other.sqlite", limit_mb=10) as other:
        for seed in range(200, 203):
            other.add(recognised(), frames(seed, 100))
        archive.export(other, tmp_path / "some.npz")
    before = full.kept()
    with pytest.raises(StorageError, match="Cannot write"):
        archive.import_(full, tmp_path / "some.npz")
    assert full.kept() == before


def test_what_cannot_be_discarded_is_kept(start: Open, folder: Path) -> None:
    device = start()
    number = hear(device).identifier
    device.correct(number, "sad")
    stuck = folder / f"{number}.flac"
    stuck.mkdir()
    with pytest.raises(StorageError, match="Cannot write"):
        device.discard(number)
    assert device.counts()["sad"] == 1
    assert device.sound(number) is not None
    undone = device.undo()
    assert undone
    assert undone.label is None, "the label was said last"
    stuck.rmdir()
    assert device.discard(number).discarded
