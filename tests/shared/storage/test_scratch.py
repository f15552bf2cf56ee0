"""A folder beside a place, which is gone afterwards, whoever was killed."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from shared.errors import StorageError
from shared.storage.scratch import scratch_beside


def killed(path: Path) -> Path:
    """Let a process be killed that has a folder beside a path; give what it left."""
    script = f"""
import os, signal
from pathlib import Path
from shared.storage.scratch import scratch_beside
with scratch_beside(Path({str(path)!r})) as folder:
    (folder / "inside").mkdir()
    (folder / "inside" / "secret").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = path.parent.glob(f".{path.name}-*")
    return left


@pytest.mark.parametrize("fails", [True, False])
def test_it_is_its_owners_and_gone_afterwards(tmp_path: Path, *, fails: bool) -> None:
    path = tmp_path / "new" / "backup.tar"
    with suppress(RuntimeError), scratch_beside(path) as folder:
        assert folder.parent == path.parent
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
        if fails:
            raise RuntimeError
    assert list(path.parent.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_at_the_same_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "backup.tar"
    left = killed(path)
    assert (left / "inside" / "secret").exists()
    with scratch_beside(tmp_path / "other.tar"):
        assert left.exists()
    with scratch_beside(path):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_another_has_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    with scratch_beside(path) as first, scratch_beside(path) as second:
        assert first != second
        with scratch_beside(path):
            assert first.exists()
            assert second.exists()
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_of_such_a_name_is_touched(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "backup.tar", tmp_path / "elsewhere"
    for folder in (elsewhere, tmp_path / ".backup.tar-12345678", tmp_path / ".backup.tar-mine"):
        folder.mkdir()
    for folder in (elsewhere, tmp_path / ".backup.tar-mine"):
        (folder / "lock").touch()
    (tmp_path / ".backup.tar-abcdefgh").symlink_to(elsewhere)
    (tmp_path / ".backup.tar-00000000").write_text("a file")
    before = sorted(tmp_path.rglob("*"))
    with scratch_beside(path):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_where_it_cannot_be_made_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "backup.tar"
    with pytest.raises(StorageError, match=f"Cannot write {path}"), scratch_beside(path):
        pass
