"""Files are whole or not there at all."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RunError, SettingsError, StorageError
from shared.storage.files import (
    check_place,
    copy_atomically,
    is_locked,
    leftovers,
    lock,
    refuse_replacing,
    replacing,
    write_atomically,
)


@given(data=st.binary() | st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes | str
) -> None:
    path = tmp_path_factory.mktemp("files") / "new" / "folder" / "file.bin"
    write_atomically(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(path.parent.iterdir()) == [path]


def test_others_may_read_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_private_file_is_private_all_the_time(tmp_path: Path) -> None:
    with replacing(tmp_path / "file", 0o600) as aside:
        assert aside.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_old_content_stays_when_the_block_raises(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def write() -> None:
        with replacing(path) as aside:
            aside.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_path_aside_has_the_same_suffix(tmp_path: Path) -> None:
    with replacing(tmp_path / "picture.png") as aside:
        assert aside.suffix == ".png"
        assert aside.parent == tmp_path


def test_a_full_disk_is_named_and_the_old_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def write() -> None:
        with replacing(path), Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"no room")

    with pytest.raises(StorageError, match=r"The disk is full while writing .*file\.txt") as caught:
        write()
    assert "what was finished before is kept" in caught.value.remedy
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_would_keep_a_file_from_being_written_is_found_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "new/below/file.txt", tmp_path / "file"):
        check_place(path, room=1)
    for path, sentence in (
        (tmp_path, "it is not a file"),
        (tmp_path / "file" / "below" / "file.txt", "Not a directory"),
        (tmp_path / ("x" * 300), "name too long"),
    ):
        with pytest.raises(StorageError, match=sentence):
            check_place(path)
    with pytest.raises(StorageError, match="The disk is full while writing"):
        check_place(tmp_path / "large", room=1 << 60)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_full_disk_at_the_flush_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, f"no space for {handle}")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="The disk is full"):
        write_atomically(tmp_path / "file", "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_folder_s_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="Cannot write"):
        write_atomically(tmp_path / "taken" / "file", "x")


@pytest.mark.parametrize("name", ["n" * 300, "/proc/nowhere/file", "."])
def test_whatever_else_the_system_says_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="Cannot write"):
        write_atomically(tmp_path / name, "x")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="it is not a file"):
        write_atomically(pipe, "x")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path, taken = tmp_path / "new" / "lock", RunError("Somebody has it.")
    assert not is_locked(path)
    first = lock(path, taken)
    assert is_locked(path)
    with pytest.raises(RunError, match="Somebody has it"):
        lock(path, taken)
    os.close(first)
    assert not is_locked(path)
    os.close(lock(path, taken))


def test_whoever_asks_whether_a_pipe_is_locked_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_what_a_killed_process_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with replacing(path) as aside:
        aside.touch()
        assert leftovers(path) == [aside]
        with replacing(aside) as within:
            assert sorted(leftovers(path)) == sorted([aside, within])
    path.unlink()
    (tmp_path / "model-2.safetensors").touch()
    (tmp_path / ".model-of-mine.safetensors").touch()
    assert leftovers(path) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_has_gone_is_said_when_it_is_to_be_copied(
    tmp_path: Path, *, there: bool
) -> None:
    path = tmp_path / "path"
    if there:
        path.write_bytes(b"before")
    with pytest.raises(StorageError, match="No such file"):
        copy_atomically(tmp_path / "gone", path)
    assert path.exists() == there
    assert leftovers(path) == []


@pytest.mark.parametrize("name", ["weights", "folder/../weights", "link", "hard"])
def test_what_is_read_is_not_written_over_by_any_name(tmp_path: Path, name: str) -> None:
    read = tmp_path / "weights"
    read.write_bytes(b"learnt")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(read)
    (tmp_path / "hard").hardlink_to(read)
    with pytest.raises(SettingsError, match=f"{name} would be written over, and .*/weights, which"):
        refuse_replacing([None, tmp_path / "other", read], [tmp_path / "new", tmp_path / name])


def test_what_is_not_there_is_no_file_that_would_be_written_over(tmp_path: Path) -> None:
    (tmp_path / "read").touch()
    refuse_replacing([tmp_path / "read", tmp_path / "gone"], [tmp_path / "gone", tmp_path / "new"])
