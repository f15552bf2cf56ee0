"""Models on their way out: each chunk once for all who want it, whatever is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.server.distribution import MOST_ASKED, Distribution
from shared.protocol.frames import Chunk
from shared.protocol.messages import Want
from tests.brokers import wait_until

MODEL, OTHER = "a" * 64, "b" * 64
CHUNK = 1024
CONTENT = bytes(range(256)) * 41


@contextmanager
def distributing(
    path: Path, publish: Callable[[Chunk], object] | None = None
) -> Iterator[tuple[Distribution, list[Chunk]]]:
    published: list[Chunk] = []

    def collect(chunk: Chunk) -> bool:
        published.append(chunk)
        if publish:
            publish(chunk)
        return True

    path.write_bytes(CONTENT)
    distribution = Distribution(collect, CHUNK)
    distribution.serve({MODEL: path})
    yield distribution, published
    if distribution._thread.ident:
        distribution.close()


def want(*ranges: tuple[int, int], file: str = MODEL, seen: int = 0) -> Want:
    return Want(file=file, ranges=list(ranges), seen=seen)


def whole(chunks: list[Chunk]) -> bytes:
    return b"".join(bytes(c.payload) for c in sorted(chunks, key=lambda c: c.offset))


def test_many_who_ask_cost_what_one_does(tmp_path: Path) -> None:
    with distributing(tmp_path / "model") as (distribution, published):
        assert distribution.want(want((0, len(CONTENT)))) == len(CONTENT)
        for _ in range(7):
            assert distribution.want(want((0, len(CONTENT)))) == 0
        distribution.start()
        wait_until(lambda: len(published) == 11, "all chunks are published")
        assert whole(published) == CONTENT
        assert [chunk.sequence for chunk in published] == list(range(1, 12))
        # Who has seen the fifth gets the others without asking; who saw none asks in vain once.
        assert distribution.want(want((0, len(CONTENT)), seen=5)) == 5 * CHUNK
        wait_until(lambda: len(published) == 16, "what is missing is published")
        assert sorted(chunk.offset for chunk in published[11:]) == [n * CHUNK for n in range(5)]
        distribution.want(want((0, CHUNK)))
        wait_until(lambda: len(published) == 17, "what was lost is published again")


def test_what_is_not_served_is_not_to_be_had(tmp_path: Path) -> None:
    with distributing(tmp_path / "model") as (distribution, published):
        assert distribution.want(want((0, 1), file=OTHER)) is None
        distribution.want(want((0, len(CONTENT))))
        distribution.serve({})
        assert distribution.want(want((0, 1))) is None
        distribution.start()
        distribution.close()
        assert not published
        distribution._thread = type(distribution._thread)()


def test_a_file_that_is_removed_ends_nothing_but_itself(tmp_path: Path) -> None:
    with distributing(tmp_path / "model") as (distribution, published):
        (tmp_path / "other").write_bytes(b"other")
        distribution.serve({MODEL: tmp_path / "model", OTHER: tmp_path / "other"})
        (tmp_path / "model").unlink()
        distribution.start()
        distribution.want(want((0, CHUNK)))
        distribution.want(want((0, 5), file=OTHER))
        wait_until(lambda: published, "the other file is published")
        assert (published[0].digest, published[0].payload) == (OTHER, b"other")


def test_after_a_lost_connection_all_is_asked_for_anew(tmp_path: Path) -> None:
    with distributing(tmp_path / "model") as (distribution, _):
        distribution.want(want((0, len(CONTENT))))
        distribution.forget()
        assert not distribution._jobs
        assert distribution.want(want((0, len(CONTENT)), seen=9)) == len(CONTENT)


offsets = st.integers(0, 1 << 30)


@settings(max_examples=25)
@given(wants=st.lists(st.lists(st.tuples(offsets, offsets), max_size=20), max_size=8))
def test_whatever_is_asked_for_no_more_waits_than_a_file_has(
    wants: list[list[tuple[int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with distributing(tmp_path_factory.mktemp("d") / "model") as (distribution, _):
        for ranges in wants:
            size = distribution.want(want(*ranges))
            assert size is not None
            assert 0 <= size <= min(len(CONTENT), MOST_ASKED)
        assert len(distribution._jobs) <= -(-len(CONTENT) // CHUNK)
