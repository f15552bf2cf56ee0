"""A federation put back from one file."""

import gzip
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.ledger import backup
from aggregator.ledger.backup import restore
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from shared.errors import FederationError, StorageError
from shared.storage.files import lock
from tests.aggregator.driver import come, settings, weights_of
from tests.aggregator.ledger.conftest import Saved
from tests.as_owner import OWNER, give, reachable
from tests.disk import mounted
from tests.killing import killed, suicide

pytestmark = pytest.mark.usefixtures("tiny")


def test_a_federation_is_put_back_as_another_run(saved: Saved, tmp_path: Path) -> None:
    federation, file = saved
    folder = FederationFolder(tmp_path / "second")
    found = restore(file, folder)
    assert (found.federation, found.round) == ("chorus", 2)
    with Federation(settings(tmp_path / "second", strategy="fedadam", rounds=8)) as again:
        assert again.ledger.run != federation.ledger.run
        assert again.current == federation.current
        np.testing.assert_array_equal(weights_of(again), weights_of(federation))
        third = again.ledger.round(3)
        assert third
        assert (third.state, third.note) == ("abandoned", "put back from a backup")
        opened = come(again)
        assert isinstance(opened, Opened)
        assert opened.number == 4


def test_a_folder_that_holds_something_stays_as_it_is(saved: Saved) -> None:
    federation, file = saved
    before = sorted(federation.folder.path.rglob("*"))
    with pytest.raises(FederationError, match="is not empty"):
        restore(file, federation.folder)
    assert sorted(federation.folder.path.rglob("*")) == before


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk, as a container's volume is."""
    with mounted(tmp_path / "disk", "size=16m") as disk:
        yield disk


def is_whole(federation: Federation, place: Path) -> None:
    """See that all of a federation was put back, and nothing else is there."""
    assert not (place / ".restoring-federation").exists()
    with Federation(settings(place, strategy="fedadam", rounds=8)) as again:
        assert again.current == federation.current
        assert again.voice.key.public == federation.voice.key.public


def test_a_disk_of_its_own_is_filled(saved: Saved, volume: Path) -> None:
    federation, file = saved
    (volume / "lost+found").mkdir()
    restore(file, FederationFolder(volume))
    is_whole(federation, volume)


def test_where_a_link_leads_is_filled_and_the_link_stays(saved: Saved, tmp_path: Path) -> None:
    federation, file = saved
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    restore(file, FederationFolder(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    is_whole(federation, tmp_path / "place")


@pytest.fixture
def services() -> Iterator[Path]:
    """Give a folder of another user's."""
    with reachable() as place:
        (place / "place").mkdir()
        give(place / "place")
        yield place / "place"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
@pytest.mark.parametrize("there", [True, False])
def test_what_root_puts_into_a_services_folder_is_the_services(
    saved: Saved, services: Path, *, there: bool
) -> None:
    place = services if there else services / "within"
    restore(saved[1], FederationFolder(place))
    assert {path.stat().st_uid for path in (place, *place.rglob("*"))} == {OWNER}
    assert place.stat().st_mode & 0o077 == 0
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
@pytest.mark.parametrize(
    ("when", "folder"),
    [("_unpack", "models"), ("_described", "models"), ("_described", "")],
)
def test_what_a_service_puts_there_meanwhile_leads_root_nowhere(
    saved: Saved, services: Path, monkeypatch: pytest.MonkeyPatch, when: str, folder: str
) -> None:
    other = services.parent / "roots"
    (other / "models").mkdir(parents=True)
    (other / "models" / "mine").write_bytes(b"mine")
    step = getattr(backup, when)

    def swapped(*given: Any) -> Any:
        place = services / ".restoring-federation" / "state" / folder
        found = step(*given) if when == "_described" else None
        place.rename(services / "was")
        place.symlink_to(other / folder)
        return found or step(*given)

    monkeypatch.setattr(backup, when, swapped)
    with suppress(StorageError):  # it may say so
        restore(saved[1], FederationFolder(services))
    assert [path.relative_to(other).as_posix() for path in sorted(other.rglob("*"))] == [
        "models",
        "models/mine",
    ]
    assert {path.stat().st_uid for path in (other, *other.rglob("*"))} == {0}


def killed_after(moves: int, file: Path, place: Path) -> bool:
    """Put a federation back in a process that is killed after so many moves; say whether it was."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL)
        return status != 0
    moved, move = [0], Path.replace

    def counted(path: Path, target: Path) -> Path:
        if target.parent == place:
            if moved[0] == moves:
                os.kill(os.getpid(), signal.SIGKILL)
            moved[0] += 1
        return move(path, target)

    Path.replace = counted  # type: ignore[assignment,method-assign] # in this process alone
    status = 1
    try:
        restore(file, FederationFolder(place))
        status = 0
    finally:
        os._exit(status)


def test_a_restore_that_was_killed_is_plainly_unfinished_and_can_be_given_again(
    saved: Saved, tmp_path: Path
) -> None:
    federation, file = saved
    place = tmp_path / "place"
    place.mkdir()
    moves = 0
    while killed_after(moves, file, place):
        moves += 1
        assert len(list(place.iterdir())) == moves
        assert (place / ".restoring-federation").exists()
        assert not (place / "ledger.sqlite").exists()
        (place / "broker.pem").write_text("of another backup")
    assert moves > 3
    assert not (place / "broker.pem").exists()
    is_whole(federation, place)


def test_where_a_restore_was_killed_no_federation_begins(saved: Saved, tmp_path: Path) -> None:
    """It would have its key and its members from the backup, and nothing of its rounds."""
    place = tmp_path / "place"
    place.mkdir()
    for moves in (0, 3):
        assert killed_after(moves, saved[1], place)
        before = sorted(place.rglob("*"))
        with pytest.raises(FederationError, match="part of a federation") as caught:
            Federation(settings(place, strategy="fedadam", rounds=8))
        assert "`aggregator restore` again" in caught.value.remedy
        assert sorted(place.rglob("*")) == before
    restore(saved[1], FederationFolder(place))
    (place / ".restoring-federation").mkdir()  # of one that was killed after its last move
    Federation(settings(place, strategy="fedadam", rounds=8)).close()


def test_what_lies_beside_an_unfinished_restore_is_not_removed(
    saved: Saved, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert killed_after(1, saved[1], place)
    (place / "photographs").touch()
    before = sorted(place.rglob("*"))
    with pytest.raises(FederationError, match="is not empty"):
        restore(saved[1], FederationFolder(place))
    assert sorted(place.rglob("*")) == before


def test_two_do_not_fill_one_folder_at_once(saved: Saved, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / ".restoring-federation").mkdir(parents=True)
    held = lock(place / ".restoring-federation" / "lock", FederationError("taken"))
    with pytest.raises(FederationError, match="is being filled by another process"):
        restore(saved[1], FederationFolder(place))
    os.close(held)
    restore(saved[1], FederationFolder(place))
    is_whole(saved[0], place)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _change(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)


def _other(file: Path) -> None:
    file.write_bytes(b"no backup")


def _escape(file: Path) -> None:
    """Name a file outside of the folder."""
    name, content = "../outside", b"x"
    text = json.dumps({"files": {"ledger.sqlite": "0" * 64, name: "0" * 64}}).encode()
    with tarfile.open(file, "w") as tar:
        for entry, data in (("backup.json", text), ("ledger.sqlite", content), (name, content)):
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _links(file: Path) -> None:
    """Let the ledger be a link to another file."""
    with tarfile.open(file, "w") as tar:
        info = tarfile.TarInfo("ledger.sqlite")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(info)
        text = json.dumps({"files": {"ledger.sqlite": "0" * 64}}).encode()
        info = tarfile.TarInfo("backup.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))


def _compress(file: Path) -> None:
    """Make it small: a few kilobytes could become many gigabytes on the disk."""
    file.write_bytes(gzip.compress(file.read_bytes()))


def _sparse(file: Path) -> None:
    """Let the ledger say that it has a terabyte, of which nothing is there."""
    with tarfile.open(file, "w") as tar:
        text = json.dumps({"files": {"ledger.sqlite": "0" * 64}}).encode()
        for name, data in (("backup.json", text), ("ledger.sqlite", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if not data:
                info.pax_headers = {
                    "GNU.sparse.map": "0,0,1099511627776,0",
                    "GNU.sparse.size": str(1 << 40),
                    "GNU.sparse.numblocks": "2",
                }
            tar.addfile(info, io.BytesIO(data))


def _unreadable(file: Path) -> None:
    """Let it be a file of which nothing can be read, as on a disk that fails."""
    file.unlink()
    file.symlink_to("/proc/self/mem")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    "damage",
    [_unreadable, _pipe, _cut, _change, _other, _escape, _links, _compress, _sparse, Path.unlink],
)
def test_what_is_no_whole_backup_is_refused(
    saved: Saved, tmp_path: Path, damage: Callable[[Path], None], *, there: bool
) -> None:
    damage(saved[1])
    if there:
        (tmp_path / "second").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FederationError, match="backup"):
        restore(saved[1], FederationFolder(tmp_path / "second"))
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_restore_left_is_removed_by_the_next(saved: Saved, tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path / "new" / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_described", suicide)
        assert killed(lambda: restore(saved[1], folder))
    assert list(folder.path.parent.rglob("key.pem"))
    restore(saved[1], folder)
    assert list(folder.path.parent.iterdir()) == [folder.path]
