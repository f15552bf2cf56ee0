"""A federation in one file, copied while it runs."""

import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger import History, backup
from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from shared.errors import FederationError, StorageError, TrustError
from shared.trust.keys import SecretKey
from shared.trust.signing import counter_of
from tests.aggregator.ledger.conftest import Saved
from tests.disk import room_for
from tests.killing import killed, suicide

pytestmark = pytest.mark.usefixtures("tiny")


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
    assert (tmp_path / "second").stat().st_mode & 0o077 == 0


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


def test_a_killed_backup_leaves_keys_to_nobody_and_the_next_removes_it(
    saved: Saved, tmp_path: Path
) -> None:
    federation, _ = saved
    with Members(federation.folder.members) as members:
        members.add("kitchen", SecretKey(bytes(32)).public)
    out = tmp_path / "usb" / "kitchen.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_add_models", suicide)
        assert killed(lambda: back_up(federation.folder, out))
    left = list(out.parent.rglob("*"))
    assert {"ledger.sqlite", "members.sqlite", "key.pem"} <= {path.name for path in left}
    assert all(path.stat().st_mode & 0o077 == 0 for path in left)
    assert {path.relative_to(out.parent).parts[0][:13] for path in left} == {".kitchen.tar-"}
    back_up(federation.folder, out)
    assert list(out.parent.iterdir()) == [out]


def test_who_unpacks_a_backup_by_hand_does_not_show_it_to_others(
    saved: Saved, tmp_path: Path
) -> None:
    saved[0].voice.sign("topic", b"{}")
    back_up(saved[0].folder, tmp_path / "again.tar")
    with tarfile.open(tmp_path / "again.tar") as tar:
        modes = {entry.name: entry.mode for entry in tar if not entry.name.startswith("models/")}
    assert set(modes.values()) == {0o600}, modes
    assert {"ledger.sqlite", "key.pem", "counter", "backup.json"} <= modes.keys()


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
