"""SHA-256 of files that stay as they are is computed once; of others it is that of now."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from shared.storage import digests
from shared.storage.digests import remembered_sha256_of
from shared.storage.files import sha256_of

MINUTE = 60_000_000_000


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files: list[Path] = []

    def reading(path: Path) -> str:
        files.append(path)
        return sha256_of(path)

    monkeypatch.setattr(digests, "sha256_of", reading)
    return files


def test_a_file_that_stays_as_it_is_is_read_once(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / "a.wav", time.time_ns()
    path.write_bytes(b"one")
    monkeypatch.setattr(time, "time_ns", lambda: now + MINUTE)
    assert remembered_sha256_of(path) == remembered_sha256_of(path) == digest(b"one")
    assert read == [path]
    path.write_bytes(b"of another length")
    assert remembered_sha256_of(path) == digest(b"of another length")


def test_what_is_written_over_at_once_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"0")
    times = path.stat()
    for content in (b"1", b"2", b"3"):
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert remembered_sha256_of(path) == digest(content)


def test_what_is_written_over_later_is_noticed_whatever_time_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / "a.wav", time.time_ns()
    path.write_bytes(b"1")
    before = path.stat()
    monkeypatch.setattr(time, "time_ns", lambda: now + MINUTE)
    assert remembered_sha256_of(path) == digest(b"1")
    changed = before
    while changed.st_ctime_ns == before.st_ctime_ns:  # the system's clock goes in steps
        path.write_bytes(b"2")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        changed = path.stat()
    assert changed.st_mtime_ns == before.st_mtime_ns
    assert remembered_sha256_of(path) == digest(b"2")


def test_a_file_that_is_gone_or_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remembered_sha256_of(tmp_path / "gone")
    with pytest.raises(IsADirectoryError):
        remembered_sha256_of(tmp_path)
