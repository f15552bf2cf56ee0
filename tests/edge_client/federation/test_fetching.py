"""A model on its way, with chunks taken in one thread and everything else done in another."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_client.federation.client_state import ClientState
from edge_client.federation.fetching import Fetching
from edge_client.federation.transfers import SAVE_EVERY
from shared.errors import ProtocolError
from shared.protocol.frames import Chunk
from shared.protocol.messages import File
from shared.protocol.part_file import PartFile
from shared.protocol.topics import Topics

CONTENT = bytes(range(250)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = File(digest=DIGEST, size=len(CONTENT))


class Fetched:
    """Fetches, with what a participant's loop and network would do in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.ended: list[bool] = []
        self.later: list[Any] = []
        self.memory = ClientState(folder)
        nothing = lambda *_, **__: True  # noqa: E731 -- for each method of a connection
        connection = SimpleNamespace(
            name="kitchen", publish=nothing, subscribe=nothing, unsubscribe=nothing
        )
        self.fetching = Fetching(
            self.memory,
            connection,  # type: ignore[arg-type] # it stands in
            Topics("chorus"),
            ended=self.ended.append,
            later=self.later.append,
            clock=lambda: self.now,
        )

    def take(self, begin: int, end: int, content: bytes = CONTENT) -> None:
        self.fetching.take(Chunk(DIGEST, begin, content[begin:end], 1))


@pytest.fixture
def it(tmp_path: Path) -> Fetched:
    it = Fetched(tmp_path)
    it.fetching.begin(FILE, 1000)
    return it


def test_the_whole_file_is_checked_in_the_loop_and_put_in_its_place(it: Fetched) -> None:
    it.take(0, len(CONTENT))
    assert (it.ended, it.fetching.digest) == ([], DIGEST)
    it.take(0, 1000)  # another client has asked for it again
    (finish,) = it.later
    finish()
    assert it.ended == [True]
    assert it.fetching.has(FILE)
    assert it.memory.path(DIGEST).read_bytes() == CONTENT
    it.take(0, 1000)


def test_a_file_that_arrived_damaged_is_none(it: Fetched) -> None:
    it.take(0, len(CONTENT), bytes(len(CONTENT)))
    it.later.pop()()
    assert it.ended == [False]
    assert not it.fetching.has(FILE)


def test_one_that_was_given_up_when_it_was_whole_stays_given_up(it: Fetched) -> None:
    it.take(0, len(CONTENT))
    it.fetching.drop()
    it.later.pop()()
    assert (it.ended, it.fetching.digest) == ([], None)


def test_what_has_arrived_is_saved_now_and_then_for_the_next_process(
    it: Fetched, tmp_path: Path
) -> None:
    it.take(0, 1000)
    it.now += SAVE_EVERY
    it.take(1000, 2000)
    it.take(2000, 3000)
    (save,) = it.later
    save()
    it.take(3000, 4000)  # and then it is killed
    with_it = PartFile(ClientState(tmp_path).part(DIGEST), len(CONTENT), DIGEST)
    assert list(with_it.durable) == [(0, 3000)]
    with_it.close()
    it.fetching.drop()
    save()


def test_a_chunk_of_another_file_or_beyond_the_end_changes_nothing(it: Fetched) -> None:
    it.fetching.take(Chunk("0" * 64, 0, b"another", 1))
    with pytest.raises(ProtocolError, match="ends at byte"):
        it.fetching.take(Chunk(DIGEST, len(CONTENT) - 1, b"12", 1))
    assert it.later == []
    it.take(0, len(CONTENT))
    it.later.pop()()
    assert it.ended == [True]
