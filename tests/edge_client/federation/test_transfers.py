"""Which bytes are asked for and sent, whatever gets lost."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.federation.transfers import (
    DOWN_CHUNKS,
    DOWN_WINDOW,
    PATIENCE,
    Download,
    UpdateTransfer,
)
from shared.errors import ProtocolError
from shared.protocol.fields import MOST_RANGES
from shared.protocol.frames import Chunk
from shared.protocol.messages import Received
from shared.protocol.part_file import PartFile
from shared.protocol.ranges import Ranges

UPDATE = "a" * 64


def received(*ranges: tuple[int, int], window: int = 1 << 20) -> Received:
    return Received(update=UPDATE, ranges=list(ranges), window=window)


def test_nothing_is_sent_beyond_the_window() -> None:
    sending = UpdateTransfer(10_000, 1000, 0)
    assert not list(iter(sending.due, None))
    sending.told(received(window=2500), 0)
    assert list(iter(sending.due, None)) == [(0, 1000), (1000, 2000), (2000, 3000)]
    assert not list(iter(sending.due, None))
    sending.told(received((0, 2000), window=2500), 0)
    assert list(iter(sending.due, None)) == [(3000, 4000), (4000, 5000)]


def test_what_the_aggregator_has_lost_is_sent_again() -> None:
    sending = UpdateTransfer(2000, 1000, 0)
    sending.told(received((0, 2000)), 0)
    assert not list(iter(sending.due, None))
    sending.restart(1)
    assert not list(iter(sending.due, None))
    sending.told(received(), 1)
    assert list(iter(sending.due, None)) == [(0, 1000), (1000, 2000)]


@given(
    safe=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=8),
    chunk=st.integers(1, 3000),
)
def test_after_a_break_all_that_is_not_safe_is_sent_and_nothing_else(
    safe: list[tuple[int, int]], chunk: int
) -> None:
    sending = UpdateTransfer(5000, chunk, 0)
    sending.told(received(), 0)
    list(iter(sending.due, None))
    sending.restart(1)
    durable = Ranges(safe)
    sending.told(received(*durable), 1)
    sent = list(iter(sending.due, None))
    assert all(begin < end <= begin + chunk for begin, end in sent)
    assert sum(end - begin for begin, end in sent) == 5000 - durable.total
    assert Ranges([*sent, *durable]).covers(0, 5000)


@pytest.mark.parametrize("lost", [[], [0], [2, 3], list(range(10))])
def test_a_model_arrives_though_chunks_are_lost(lost: list[int], tmp_path: Path) -> None:
    content, now = bytes(range(250)) * 40, 0.0
    part = PartFile(tmp_path / "model.part", len(content), UPDATE)
    download, sequence = Download(part, 1000, now), 0
    while not download.complete:
        assert now < 10 * PATIENCE
        want = download.want(now)
        for begin, end in want.ranges if want else ():
            for offset in range(begin // 1000 * 1000, end, 1000):
                sequence += 1
                if offset // 1000 in lost:
                    lost = [place for place in lost if place != offset // 1000]
                    continue
                download.take(Chunk(UPDATE, offset, content[offset : offset + 1000], sequence), now)
        now = download.again_at
    part.flush()
    assert part.path.read_bytes() == content
    part.close()


def test_not_all_of_a_large_model_is_asked_for_at_once(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "model.part", 100 << 20, UPDATE)
    download = Download(part, 1 << 16, 0)
    want = download.want(0)
    assert want
    assert want.ranges == [(0, DOWN_WINDOW)]
    assert download.want(0) is None
    part.close()


def test_of_small_chunks_fewer_bytes_are_asked_for(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "model.part", 100 << 20, UPDATE)
    want = Download(part, 1024, 0).want(0)
    assert want
    assert want.ranges == [(0, DOWN_CHUNKS * 1024)]
    part.close()


@given(
    taken=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 40)), max_size=1500),
    before=st.integers(1, 3000),
    chunk=st.integers(1, 3000),
)
def test_a_request_has_few_ranges_of_whole_chunks_whatever_has_arrived(
    taken: list[tuple[int, int]], before: int, chunk: int
) -> None:
    size = 3000 * before + 1
    ranges = [(begin * before, begin * before + length) for begin, length in taken]
    check_requests(size, chunk, Ranges(ranges))


@pytest.mark.parametrize("chunk", [1 << 10, 15_000, 1 << 16])
def test_every_other_chunk_of_another_size_has_arrived(chunk: int) -> None:
    here = Ranges((begin, begin + 15_000) for begin in range(0, 600 * 15_000, 30_000))
    check_requests(600 * 15_000, chunk, here)


def check_requests(size: int, chunk: int, here: Ranges) -> None:
    """Ask for a file of which something is here until all is; look at each request."""
    with TemporaryDirectory() as folder:
        part = PartFile(Path(folder) / "model.part", size, UPDATE)
        part.written = Ranges((begin, min(end, size)) for begin, end in here)
        download = Download(part, chunk, 0)
        while not download.complete:
            want = download.want(download.again_at)
            assert want
            assert len(want.ranges) <= MOST_RANGES
            assert all(begin % chunk == 0 for begin, _ in want.ranges)
            for begin, end in want.ranges:
                part.written.add(begin, end)
        part.close()


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (0, 999), (0, 1001), (500, 1000), (2000, 501), (2500, 0)]
)
def test_what_is_no_whole_chunk_is_left_aside(tmp_path: Path, offset: int, length: int) -> None:
    part = PartFile(tmp_path / "model.part", 2500, UPDATE)
    download = Download(part, 1000, 0)
    with pytest.raises(ProtocolError, match="no whole chunk of 1000 bytes"):
        download.take(Chunk(UPDATE, offset, bytes(length), 1), 0)
    assert not part.written
    for begin in (0, 1000, 2000):
        download.take(Chunk(UPDATE, begin, bytes(min(1000, 2500 - begin)), 1), 0)
    assert download.complete
    part.close()


def test_a_slow_line_is_no_silence() -> None:
    sending = UpdateTransfer(10_000, 1000, 0)
    sending.goes_on(8)
    assert sending.again_at == 8 + 2 * PATIENCE
