"""What must not be forgotten is durable when it has been written, its name too."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.broker.certificate import kept_certificate
from aggregator.enrolment.members import Members
from aggregator.enrolment.rotation import issue_key, make_root, rotate
from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from shared.trust.counter import Counter, Highest, write_number
from shared.trust.keys import SecretKey
from tests.aggregator.driver import settings

pytestmark = pytest.mark.usefixtures("tiny")


class Disk:
    """What would be there after a power cut: files and names that were synced, by their inodes."""

    def __init__(self) -> None:
        self._sync = os.fsync
        self.contents: set[int] = set()
        self.names: set[tuple[str, int]] = set()

    def sync(self, descriptor: int) -> None:
        """Be ``os.fsync``."""
        self._sync(descriptor)
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(f"/proc/self/fd/{descriptor}") as entries:
                self.names |= {(entry.name, entry.inode()) for entry in entries}
        else:
            self.contents.add(found.st_ino)

    def keeps(self, path: Path) -> bool:
        inode = path.stat().st_ino
        return inode in self.contents and (path.name, inode) in self.names


def rotated(state: Path) -> Path:
    folder = FederationFolder(state)
    rotate(folder)
    return folder.key


def issued(state: Path) -> Path:
    make_root(state / "root.pem")
    issue_key(state / "root.pem", state / "next.pem", "chorus", after=0)
    return state / "next.pem"


def rooted(state: Path) -> Path:
    make_root(state / "root.pem")
    return state / "root.pem"


def made(state: Path) -> Path:
    SecretKey.kept(state / "own.pem")
    return state / "own.pem"


def certified(state: Path) -> Path:
    kept_certificate(state / "broker.pem")
    return state / "broker.pem"


def counted(state: Path) -> Path:
    Counter(state / "own").next()
    return state / "own"


def heard(state: Path) -> Path:
    Highest(state / "heard").take(7)
    return state / "heard"


def written(state: Path) -> Path:
    write_number(state / "number", 7)
    return state / "number"


def backed_up(state: Path) -> Path:
    back_up(FederationFolder(state), state / "backup.tar")
    return state / "backup.tar"


def put_back(state: Path) -> Path:
    restore(backed_up(state), FederationFolder(state / "restored"))
    return FederationFolder(state / "restored").members


def put_back_beneath(state: Path) -> Path:
    (state / "restored").mkdir()
    return put_back(state)


@pytest.mark.parametrize(
    "write",
    [
        put_back,
        put_back_beneath,
        rotated,
        issued,
        rooted,
        made,
        certified,
        counted,
        heard,
        written,
        backed_up,
    ],
)
def test_it_is_there_after_a_power_cut(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Federation(settings(tmp_path)).close()
    SecretKey.kept(FederationFolder(tmp_path).key)
    Members(FederationFolder(tmp_path).members).close()
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.sync)
    assert disk.keeps(write(tmp_path))
