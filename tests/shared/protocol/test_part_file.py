"""Files that arrive in pieces, and what a crash leaves of them."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ProtocolError, StorageError
from shared.protocol.part_file import PartFile, record_of
from tests.disk import mounted

CONTENT = np.random.default_rng(0).bytes(1000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "update.part"


def opened(path: Path, content: bytes = CONTENT) -> PartFile:
    return PartFile(path, len(content), hashlib.sha256(content).hexdigest())


def send(file: PartFile, begin: int, end: int) -> None:
    file.write(begin, CONTENT[begin:end])


pieces = st.lists(
    st.tuples(st.integers(0, 999), st.integers(1, 400)).map(lambda p: (p[0], min(1000, sum(p)))),
    max_size=12,
)


@given(sent=pieces, flushes=st.sets(st.integers(0, 12)))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pieces_may_come_in_any_order_twice_and_overlap(
    tmp_path: Path, sent: list[tuple[int, int]], flushes: set[int]
) -> None:
    path = tmp_path / "any"
    file = opened(path)
    durable: set[int] = set()
    written: set[int] = set()
    for number, (begin, end) in enumerate(sent):
        send(file, begin, end)
        written |= set(range(begin, end))
        if number in flushes:
            file.flush()
            durable = set(written)
        assert {i for b, e in file.written for i in range(b, e)} == written
        assert {i for b, e in file.durable for i in range(b, e)} == durable
    file.close()
    # As after a crash: what was not flushed is asked for again, and then it is whole.
    file = opened(path)
    assert {i for b, e in file.durable for i in range(b, e)} == durable
    for begin, end in list(file.written.missing(1000)):
        send(file, begin, end)
    assert file.complete == (len(durable) == 1000)
    file.flush()
    assert file.complete
    assert file.matches()
    file.keep(tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == CONTENT
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["whole"]
    (tmp_path / "whole").unlink()


def test_a_piece_beyond_the_end_is_refused(path: Path) -> None:
    file = opened(path)
    with pytest.raises(ProtocolError, match="ends at byte 1001 of a file of 1000"):
        file.write(999, b"ab")
    assert not file.written


def test_what_is_there_is_left_aside(path: Path) -> None:
    file = opened(path)
    send(file, 0, 1000)
    file.flush()
    file.write(100, b"damaged")
    assert file.matches()


def test_a_wrong_piece_shows_in_the_digest(path: Path) -> None:
    file = opened(path)
    file.write(0, b"wrong")
    send(file, 5, 1000)
    file.flush()
    assert file.complete
    assert not file.matches()
    file.discard()
    assert not list(path.parent.iterdir())
    assert not opened(path).written


CRASH = """
import sys
from pathlib import Path
from shared.protocol.part_file import PartFile
path, digest, content = Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])
file = PartFile(path, len(content), digest)
file.write(0, content[:300])
file.write(500, content[500:600])
file.flush()
file.write(300, content[300:500])
print("written", flush=True)
sys.stdin.read()
"""


def test_a_kill_between_writing_and_flushing_loses_nothing_promised(path: Path) -> None:
    command = [sys.executable, "-c", CRASH, str(path), DIGEST, CONTENT.hex()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        process.kill()
    file = opened(path)
    assert list(file.durable) == list(file.written) == [(0, 300), (500, 600)]
    for begin, end in list(file.written.missing(1000)):
        send(file, begin, end)
    file.flush()
    assert file.complete
    assert file.matches()


def test_a_record_may_be_cut_off_anywhere(path: Path) -> None:
    file = opened(path)
    ranges = [(0, 100), (200, 300), (400, 999)]
    lines = []
    for begin, end in ranges:
        send(file, begin, end)
        file.flush()
        lines.append(record_of(path).stat().st_size)
    file.close()
    record = record_of(path).read_bytes()
    for length in range(len(record) + 1):
        record_of(path).write_bytes(record[:length])
        file = opened(path)
        whole = sum(length >= end for end in lines)
        assert list(file.durable) == ranges[:whole]
        # What comes next is read again, too.
        send(file, 100, 150)
        file.flush()
        file.close()
        again = opened(path)
        assert list(again.durable) == list(file.durable)
        again.close()


@given(position=st.integers(0, 200), byte=st.integers(0, 255))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_record_promises_no_more(tmp_path: Path, position: int, byte: int) -> None:
    path = tmp_path / "damaged"
    file = opened(path)
    for begin in range(0, 1000, 250):
        send(file, begin, begin + 200)
        file.flush()
    file.close()
    record = bytearray(record_of(path).read_bytes())
    record[position % len(record)] = byte
    record_of(path).write_bytes(record)
    found = opened(path)
    assert all(file.durable.covers(begin, end) for begin, end in found.durable)
    found.discard()


def test_another_file_s_record_is_none(path: Path) -> None:
    other = opened(path, CONTENT[::-1])
    other.write(0, CONTENT[::-1])
    other.flush()
    other.close()
    assert not opened(path).durable
    path.unlink()
    record_of(path).write_text("0 1000 12345678\nand more\n")
    assert not opened(path).durable


def test_a_record_without_its_data_is_none(path: Path) -> None:
    file = opened(path)
    send(file, 0, 1000)
    file.flush()
    file.close()
    path.unlink()  # as if killed while it was moved to its place
    assert not opened(path).durable


def test_writing_goes_on_while_another_thread_flushes(path: Path) -> None:
    file = opened(path)
    done = False

    def flush() -> None:
        while not done:
            file.flush()

    thread = Thread(target=flush)
    thread.start()
    try:
        for begin in np.random.default_rng(1).permutation(1000).tolist():
            send(file, begin, begin + 1)
            assert file.durable.total <= 1000
    finally:
        done = True
        thread.join()
    file.flush()
    assert file.complete
    file.close()
    assert opened(path).complete


def test_a_failed_flush_makes_no_promise(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(path)
    send(file, 0, 100)
    file.flush()
    for name in ("fdatasync", "write"):
        send(file, 200, 300)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, _full)
            with pytest.raises(StorageError, match="disk is full"):
                file.flush()
        assert list(file.written) == list(file.durable) == [(0, 100)]
    send(file, 200, 300)
    file.flush()
    file.close()
    assert list(opened(path).durable) == [(0, 100), (200, 300)]


def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(path)
    send(file, 0, 100)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda where, data: real(where, data[:5]))
        with pytest.raises(StorageError, match="disk is full"):
            file.flush()
    assert record_of(path).read_bytes() == b""
    send(file, 0, 100)
    file.flush()
    file.close()
    assert list(opened(path).durable) == [(0, 100)]


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KB, where that is allowed."""
    with mounted(tmp_path / "disk", "size=64k") as disk:
        yield disk


def test_a_full_disk_is_said_and_gone_on_from(small_disk: Path) -> None:
    content = np.random.default_rng(0).bytes(100_000)
    path = small_disk / "update.part"
    file = opened(path, content)
    with pytest.raises(StorageError, match=f"disk is full while writing {path}"):
        write_all(file, content)
    promised = list(file.durable)
    assert 0 < file.durable.total < len(content)
    file.close()
    file = opened(path, content)
    assert list(file.durable) == promised
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    write_all(file, content)
    assert file.matches()
    file.close()


def write_all(file: PartFile, content: bytes) -> None:
    for begin in range(0, len(content), 10_000):
        file.write(begin, content[begin : begin + 10_000])
        file.flush()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(StorageError, match="taken"):
            opened(tmp_path / "taken" / "update")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
