"""A federation in one file, and put back."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger import History, backup
from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from shared.errors import FederationError, StorageError, TrustError
from shared.storage.files import lock
from shared.trust.keys import SecretKey
from shared.trust.signing import counter_of
from tests.aggregator.driver import come, play, put, random_update, settings, weights_of
from tests.disk import room_for

pytestmark = pytest.mark.usefixtures("tiny")

Saved = tuple[Federation, Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Play two rounds, and copy the federation while the third is open, with one update."""
    federation = Federation(settings(tmp_path / "first", strategy="fedadam", rounds=8))
    step = come(federation)
    for _ in range(2):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # a round opens each time
    put(federation, 3, random_update("anna", 3))
    file = tmp_path / "backup.tar"
    back_up(federation.folder, file)
    return federation, file


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


def test_devices_know_it_again_and_it_knows_its_members(saved: Saved, tmp_path: Path) -> None:
    federation, file = saved
    device = SecretKey(bytes(32)).public
    with Members(federation.folder.members) as members:
        members.add("kitchen", device)
        back_up(federation.folder, file)
    last = counter_of(federation.voice.key.public, "topic", federation.voice.sign("topic", b"{}"))
    folder = FederationFolder(tmp_path / "second")
    restore(file, folder)
    with Members(folder.members) as members:
        assert members.joined()["kitchen"].key == device
    again = Voice(folder, lambda: time.time() + 60.0)
    said = again.sign("topic", b"{}")
    assert counter_of(federation.voice.key.public, "topic", said) > last, "it is no old message"
    assert folder.key.stat().st_mode & 0o077 == 0


def test_only_its_owner_reads_a_backup_and_what_it_becomes(saved: Saved, tmp_path: Path) -> None:
    restore(saved[1], FederationFolder(tmp_path / "second"))
    assert saved[1].stat().st_mode & 0o077 == 0
    saved[0].voice.sign("topic", b"{}")
    back_up(saved[0].folder, tmp_path / "again.tar")
    with tarfile.open(tmp_path / "again.tar") as tar:
        modes = {entry.name: entry.mode for entry in tar}
    for name in ("key.pem", "counter"):
        assert modes[name] == 0o600, "who unpacks it by hand does not show it to others"
    assert (tmp_path / "second").stat().st_mode & 0o077 == 0


def test_a_folder_that_holds_something_stays_as_it_is(saved: Saved) -> None:
    federation, file = saved
    before = sorted(federation.folder.path.rglob("*"))
    with pytest.raises(FederationError, match="is not empty"):
        restore(file, federation.folder)
    assert sorted(federation.folder.path.rglob("*")) == before


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk, as a container's volume is; only root may."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    mounts = not os.geteuid() and shutil.which("mount")
    if not mounts or subprocess.run(mount, check=False).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def is_whole(federation: Federation, place: Path) -> None:
    """See that all of a federation was put back, and nothing else is there."""
    assert not (place / ".restoring-federation").exists()
    with Federation(settings(place, strategy="fedadam", rounds=8)) as again:
        assert again.current == federation.current
        assert again.voice.key.public == federation.voice.key.public


def test_a_disk_of_its_own_is_filled(saved: Saved, mounted: Path) -> None:
    federation, file = saved
    (mounted / "lost+found").mkdir()
    restore(file, FederationFolder(mounted))
    is_whole(federation, mounted)


def test_where_a_link_leads_is_filled_and_the_link_stays(saved: Saved, tmp_path: Path) -> None:
    federation, file = saved
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")
    restore(file, FederationFolder(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    is_whole(federation, tmp_path / "place")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_puts_into_a_services_folder_is_the_services(
    saved: Saved, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, 54_321, 54_321)
    restore(saved[1], FederationFolder(place))
    assert {path.stat().st_uid for path in place.rglob("*")} == {54_321}
    assert place.stat().st_mode & 0o077 == 0


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


def test_an_older_model_that_is_gone_is_left_out(saved: Saved, tmp_path: Path) -> None:
    federation, _ = saved
    first = federation.ledger.find(0)
    federation.files.path(first.digest).unlink()
    found = back_up(federation.folder, tmp_path / "other.tar")
    restore(tmp_path / "other.tar", FederationFolder(tmp_path / "second"))
    assert found.models == len(list((tmp_path / "second" / "models").iterdir()))
    assert not (tmp_path / "second" / "models" / f"{first.digest}.safetensors").exists()


def test_a_damaged_model_is_no_backup(saved: Saved, tmp_path: Path) -> None:
    federation, _ = saved
    path = federation.files.path(federation.current.digest)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FederationError, match="missing or damaged"):
        back_up(federation.folder, tmp_path / "other.tar")
    assert not (tmp_path / "other.tar").exists()


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


def test_a_backup_needs_a_federation(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="There is no federation"):
        back_up(FederationFolder(tmp_path), tmp_path / "backup.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_list_of_members_is_said(saved: Saved, tmp_path: Path) -> None:
    folder = saved[0].folder
    folder.members.write_bytes(b"no database" * 100)
    with pytest.raises(TrustError, match=r"list of members .* cannot be copied"):
        back_up(folder, tmp_path / "again.tar")
    assert not (tmp_path / "again.tar").exists()


def test_a_full_disk_is_said_wherever_it_becomes_full(saved: Saved, tmp_path: Path) -> None:
    federation, file = saved
    with Members(federation.folder.members) as members:
        for number in range(200):
            members.note(**{f"padding-{number}": "x" * 1000})
    sizes = [path.stat().st_size for path in (federation.folder.ledger, federation.folder.members)]
    assert sizes[0] < sizes[1]
    # At the ledger, and at the members.
    for size in (4096, sizes[1] // 2):
        again = tmp_path / "again.tar"
        with room_for(size), pytest.raises(StorageError, match=f"is full while writing {again}"):
            back_up(federation.folder, again)
    assert sorted(tmp_path.iterdir()) == sorted([file, federation.folder.path])


def test_a_device_is_no_place_for_a_backup(saved: Saved) -> None:
    with pytest.raises(StorageError):
        back_up(saved[0].folder, Path("/dev/full"))


def test_a_backup_of_a_backup_is_the_same_ledger(saved: Saved, tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path / "second")
    restore(saved[1], folder)
    back_up(folder, tmp_path / "again.tar")
    restore(tmp_path / "again.tar", FederationFolder(tmp_path / "third"))
    with History(folder.ledger) as one, History(tmp_path / "third" / "ledger.sqlite") as other:
        assert one.versions() == other.versions()
        assert one.run != other.run


def killed(work: Callable[[], object]) -> None:
    """Do something in a process of its own, which is to be killed in it."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def suicide(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_backup_leaves_keys_to_nobody_and_the_next_removes_it(
    saved: Saved, tmp_path: Path
) -> None:
    federation, _ = saved
    with Members(federation.folder.members) as members:
        members.add("kitchen", SecretKey(bytes(32)).public)
    out = tmp_path / "usb" / "kitchen.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_add_models", suicide)
        killed(lambda: back_up(federation.folder, out))
    left = list(out.parent.rglob("*"))
    assert {"ledger.sqlite", "members.sqlite", "key.pem"} <= {path.name for path in left}
    assert all(path.stat().st_mode & 0o077 == 0 for path in left)
    assert {path.relative_to(out.parent).parts[0][:13] for path in left} == {".kitchen.tar-"}
    back_up(federation.folder, out)
    assert list(out.parent.iterdir()) == [out]


def test_what_is_in_a_backup_is_its_owners_too(saved: Saved) -> None:
    with tarfile.open(saved[1]) as tar:
        modes = {entry.name: entry.mode for entry in tar if not entry.name.startswith("models/")}
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert {"ledger.sqlite", "key.pem", "backup.json"} <= modes.keys()


def test_of_two_backups_at_the_same_time_neither_harms_the_other(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation, _ = saved
    out, add = tmp_path / "usb" / "kitchen.tar", backup._add_models

    def meanwhile(*given: Any) -> list[str]:
        monkeypatch.setattr(backup, "_add_models", add)
        back_up(federation.folder, out)
        restore(out, FederationFolder(tmp_path / "second"))
        out.unlink()
        return add(*given)

    monkeypatch.setattr(backup, "_add_models", meanwhile)
    back_up(federation.folder, out)
    assert list(out.parent.iterdir()) == [out]
    restore(out, FederationFolder(tmp_path / "third"))


def test_what_a_killed_restore_left_is_removed_by_the_next(saved: Saved, tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path / "new" / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_described", suicide)
        killed(lambda: restore(saved[1], folder))
    assert list(folder.path.parent.rglob("key.pem"))
    restore(saved[1], folder)
    assert list(folder.path.parent.iterdir()) == [folder.path]
