"""Models on their way out: each chunk once for all who want it, whatever is asked for."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.server.distribution import MOST_ASKED, PER_SECOND, TIMES, Distribution
from shared.protocol.fields import LAST_SEQUENCE
from shared.protocol.frames import Chunk
from shared.protocol.messages import Want
from tests.loop_driver import LoopDriver

MODEL, OTHER = "a" * 64, "b" * 64
CHUNK = 1024
CONTENT = bytes(range(256)) * 41


class Distributing:
    """A distribution of one file, its worker, and what it has published."""

    def __init__(self, path: Path, chunk: int = CHUNK) -> None:
        path.write_bytes(CONTENT)
        self.driver = LoopDriver(at_once=False)
        self.published: list[Chunk] = []
        worker = self.driver.loop.worker("distribution")
        self.greedy: list[str] = []
        self.distribution = Distribution(
            self._publish,
            chunk,
            worker,
            clock=self.driver.loop.clock,
            greedy=self.greedy.append,
        )
        self.distribution.serve({MODEL: path})
        self.want = partial(self.distribution.want, "kitchen")

    def _publish(self, chunk: Chunk) -> bool:
        self.published.append(chunk)
        return True

    def work(self) -> None:
        self.driver.work("distribution")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Distributing]:
    one = Distributing(tmp_path / "model")
    yield one
    one.distribution.close()


def want(*ranges: tuple[int, int], file: str = MODEL, seen: int = 0) -> Want:
    return Want(file=file, ranges=list(ranges), seen=seen)


def whole(chunks: list[Chunk]) -> bytes:
    return b"".join(bytes(c.payload) for c in sorted(chunks, key=lambda c: c.offset))


def test_many_who_ask_cost_what_one_does(it: Distributing) -> None:
    assert it.want(want((0, len(CONTENT)))) == len(CONTENT)
    for _ in range(7):
        assert it.want(want((0, len(CONTENT)))) == 0
    it.work()
    assert len(it.published) == 11
    assert whole(it.published) == CONTENT
    assert [chunk.sequence for chunk in it.published] == list(range(1, 12))
    # Who has seen the fifth gets the others without asking; who saw none asks in vain once.
    assert it.want(want((0, len(CONTENT)), seen=5)) == 5 * CHUNK
    it.work()
    assert len(it.published) == 16
    assert sorted(chunk.offset for chunk in it.published[11:]) == [n * CHUNK for n in range(5)]
    it.want(want((0, CHUNK)))
    it.work()
    assert len(it.published) == 17, "what was lost is published again"


def test_what_is_not_served_is_not_to_be_had(it: Distributing) -> None:
    assert it.want(want((0, 1), file=OTHER)) is None
    it.want(want((0, len(CONTENT))))
    it.distribution.serve({})
    assert it.want(want((0, 1))) is None
    it.work()
    assert not it.published


def test_a_file_that_is_removed_ends_nothing_but_itself(it: Distributing, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    it.distribution.serve({MODEL: tmp_path / "model", OTHER: tmp_path / "other"})
    (tmp_path / "model").unlink()
    it.want(want((0, CHUNK)))
    it.want(want((0, 5), file=OTHER))
    it.work()
    (chunk,) = it.published
    assert (chunk.digest, chunk.payload) == (OTHER, b"other")


def test_after_a_lost_connection_all_is_asked_for_anew(it: Distributing) -> None:
    it.want(want((0, len(CONTENT))))
    it.distribution.forget()
    it.work()
    assert not it.published
    assert it.want(want((0, len(CONTENT)), seen=9)) == len(CONTENT)


offsets = st.integers(0, 1 << 30)


@settings(max_examples=25)
@given(wants=st.lists(st.lists(st.tuples(offsets, offsets), max_size=20), max_size=8))
def test_whatever_is_asked_for_no_more_waits_than_a_file_has(
    wants: list[list[tuple[int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    it = Distributing(tmp_path_factory.mktemp("d") / "model")
    for ranges in wants:
        size = it.want(want(*ranges))
        assert size is not None
        assert 0 <= size <= min(len(CONTENT), MOST_ASKED)
    it.work()
    it.distribution.close()
    assert len(it.published) <= -(-len(CONTENT) // CHUNK)


def test_sequence_numbers_begin_anew_where_a_frame_has_no_more(
    it: Distributing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(it.distribution, "_sequence", LAST_SEQUENCE - 1)
    it.want(want((0, 2 * CHUNK)))
    it.work()
    assert [chunk.sequence for chunk in it.published] == [LAST_SEQUENCE, 1]
    # Whoever has seen the last one gets what comes after it, rather twice than never.
    assert it.want(want((0, 2 * CHUNK), seen=LAST_SEQUENCE)) == 2 * CHUNK


def test_a_client_that_asks_again_and_again_gets_its_share_and_the_others_theirs(
    tmp_path: Path,
) -> None:
    big = tmp_path / "big"
    size = 2 * MOST_ASKED
    it = Distributing(tmp_path / "model", chunk=1 << 16)
    with big.open("wb") as file:
        file.truncate(size)
    it.distribution.serve({OTHER: big})
    asked = want((0, MOST_ASKED), file=OTHER)

    def most(client: str) -> int:
        """Ask for all one may have, and see it published."""
        total = 0
        for _ in range(20):
            total += it.distribution.want(client, asked) or 0
            it.work()
        return total

    assert most("mallory") == TIMES * size
    assert set(it.greedy) == {"mallory"}
    it.greedy.clear()
    assert it.distribution.want("kitchen", asked) == MOST_ASKED
    it.work()
    it.driver.now += 2.0
    assert most("mallory") == 2 * PER_SECOND, "it goes on slowly"
    # Another round.
    it.distribution.serve({OTHER: big})
    assert most("mallory") == TIMES * size
    it.distribution.close()
