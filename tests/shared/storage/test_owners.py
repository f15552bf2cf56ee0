"""What root writes for a service stays the service's; what others may not read is said."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aggregator.broker.certificate import kept_certificate
from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger import Ledger
from aggregator.ledger.folder import FederationFolder
from shared.errors import RunError, StorageError, TrustError
from shared.storage.files import lock, replacing, write_atomically
from shared.storage.owners import as_owner
from shared.trust.counter import read_number, write_number
from shared.trust.keys import SecretKey

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")

SERVICE = 54_321
"""A user of the machine, without a name."""


@contextmanager
def service() -> Iterator[None]:
    """Be another user than root for a while."""
    os.setegid(SERVICE)
    os.seteuid(SERVICE)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def state() -> Iterator[Path]:
    """Give the service a folder: those of pytest are for their owner alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, SERVICE, SERVICE)
        yield Path(name)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def test_a_file_that_replaces_another_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("old")
    os.chown(path, SERVICE, SERVICE + 1)
    with replacing(path, 0o600) as aside:
        aside.write_text("new")
        assert aside.stat().st_mode & 0o777 == 0o600
    assert owner(path) == (SERVICE, SERVICE + 1)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_file_is_its_folders(state: Path, tmp_path: Path) -> None:
    write_atomically(state / "file", "new")
    os.close(lock(state / "lock", RunError("taken")))
    Members(state / "members.sqlite").close()
    assert {owner(path) for path in state.iterdir()} == {(SERVICE, SERVICE)}
    write_atomically(tmp_path / "file", "new")
    assert owner(tmp_path / "file") == (0, 0)


def test_a_lock_that_is_there_is_nobody_elses_from_then_on(state: Path, tmp_path: Path) -> None:
    """A service that was taken over could lead root to another file."""
    (tmp_path / "file").touch()
    (state / "lock").symlink_to(tmp_path / "file")
    os.close(lock(state / "lock", RunError("taken")))
    assert owner(tmp_path / "file") == (0, 0)


@pytest.mark.parametrize(
    ("what", "make", "read"),
    [
        ("The key", SecretKey.kept, SecretKey.read),
        ("The number in", lambda path: write_number(path, 1), read_number),
        ("The broker's certificate", kept_certificate, kept_certificate),
    ],
)
def test_what_belongs_to_somebody_else_is_said_with_how_to_give_it_back(
    state: Path, what: str, make: Callable[[Path], object], read: Callable[[Path], object]
) -> None:
    path = state / "file"
    make(path)
    os.chown(path, 0, 0)
    with service(), pytest.raises(TrustError) as caught:
        read(path)
    assert caught.value.problem == (
        f"{what} {path} cannot be used: it belongs to root, and {SERVICE} may not read it."
    )
    remedy = f"Give it back to its folder's owner: `sudo chown {SERVICE} {path}`."
    assert caught.value.remedy == remedy


def test_a_ledger_where_this_user_may_not_look_is_said(tmp_path: Path) -> None:
    with service(), pytest.raises(StorageError, match="Cannot write"):
        Ledger(tmp_path / "ledger.sqlite")


def test_root_may_be_a_folders_owner_for_a_while(state: Path, tmp_path: Path) -> None:
    before = os.geteuid(), os.getegid(), os.getgroups()
    with as_owner(state):
        (state / "file").touch()
        assert os.getgroups() == [SERVICE]
        with pytest.raises(PermissionError):
            (tmp_path / "file").touch()
    assert owner(state / "file") == (SERVICE, SERVICE)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    for folder in (tmp_path, tmp_path / "none"):
        with as_owner(folder):
            assert os.geteuid() == 0


def test_a_root_who_may_be_nobody_else_is_told(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: list[int]) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = os.geteuid(), os.getegid(), os.getgroups()
    monkeypatch.setattr(os, "setgroups", refuse)
    with pytest.raises(StorageError, match="as its owner"), as_owner(state):
        pass
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


def test_who_is_no_owner_of_either_is_told_who_is(state: Path) -> None:
    path = state / "key.pem"
    SecretKey.kept(path)
    for user, mode in ((0, 0o755), (SERVICE, 0o755), (0, 0o700)):
        for one in (path, state):
            os.chown(one, user, user)
        path.chmod(0o000)
        state.chmod(mode)
        with service(), pytest.raises(TrustError) as caught:
            SecretKey.read(path)
        said = {
            (0, 0o755): f"belongs to root, and {SERVICE} may not read it. Start this as that user",
            (SERVICE, 0o755): f"Let it be read: `chmod 600 {path}`.",
            (0, 0o700): f"{SERVICE} may not look into its folder.",
        }
        assert said[user, mode] in caught.value.message


def test_a_key_that_was_given_back_is_taken(state: Path) -> None:
    folder = FederationFolder(state)
    with service():
        voice = Voice(folder)
    new = SecretKey.new()
    folder.key.unlink()
    folder.key.write_bytes(new.pem)
    folder.key.chmod(0o600)
    with service(), pytest.raises(TrustError, match="belongs to root"):
        voice.renewed()
    os.chown(folder.key, SERVICE, SERVICE)
    with service():
        assert voice.renewed()
    assert voice.key.public == new.public
