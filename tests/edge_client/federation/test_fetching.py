"""A model on its way, with chunks taken in one thread and everything else done in another."""

import hashlib
from pathlib import Path

import pytest

from edge_client.federation.client_state import ClientState
from edge_client.federation.fetching import Fetching
from edge_client.federation.transfers import FRUITLESS, PATIENCE, SAVE_EVERY
from shared.errors import ChorusError, ProtocolError
from shared.protocol.frames import Chunk
from shared.protocol.messages import File
from shared.protocol.part_file import PartFile
from shared.protocol.topics import Topics
from tests.loop_driver import FakeConnection, LoopDriver

CONTENT = bytes(range(250)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = File(digest=DIGEST, size=len(CONTENT))


class Fetched:
    """Fetches, with what a participant's loop and network would do in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.driver = LoopDriver(at_once=False)
        self.ended: list[bool] = []
        self.client_state = ClientState(folder)
        self.connection = FakeConnection()
        self.in_vain: list[ChorusError] = []
        self.connection.connected = True
        self.fetching = Fetching(
            self.client_state,
            self.connection,  # type: ignore[arg-type] # it stands in
            Topics("chorus"),
            loop=self.driver.loop,
            in_vain=self.in_vain.append,
            worker=self.driver.loop.worker("files"),
            ended=self.ended.append,
        )

    def check(self) -> None:
        """Let the loop and the worker do what they have to."""
        self.driver.rest()
        self.driver.work("files")

    def take(self, begin: int, end: int, content: bytes = CONTENT, chunk: int = 1000) -> None:
        for offset in range(begin, end, chunk):
            piece = content[offset : min(offset + chunk, end)]
            self.fetching.take(Chunk(DIGEST, offset, piece, 1))


@pytest.fixture
def it(tmp_path: Path) -> Fetched:
    it = Fetched(tmp_path)
    it.fetching.begin(FILE, 1000)
    return it


def test_the_whole_file_is_checked_in_a_worker_and_put_in_its_place(it: Fetched) -> None:
    it.take(0, len(CONTENT))
    it.driver.rest()
    assert (it.ended, it.fetching.digest) == ([], DIGEST)
    it.take(0, 1000)  # another client has asked for it again
    it.check()
    assert it.ended == [True]
    assert it.fetching.has(FILE)
    assert it.client_state.path(DIGEST).read_bytes() == CONTENT
    it.take(0, 1000)


def test_a_file_that_arrived_damaged_is_none(it: Fetched) -> None:
    it.take(0, len(CONTENT), bytes(len(CONTENT)))
    it.check()
    assert it.ended == [False]
    assert not it.fetching.has(FILE)


def test_one_that_was_given_up_when_it_was_whole_stays_given_up(it: Fetched) -> None:
    it.take(0, len(CONTENT))
    it.fetching.drop()
    it.check()
    assert (it.ended, it.fetching.digest) == ([], None)


def test_one_that_is_given_up_while_it_is_read_can_be_fetched_again(it: Fetched) -> None:
    it.take(0, len(CONTENT))
    it.driver.rest()
    it.fetching.drop()
    it.fetching.begin(FILE, 1000)
    it.take(0, 1000)
    it.check()
    assert (it.ended, it.fetching.digest) == ([], DIGEST)
    it.take(1000, len(CONTENT))
    it.check()
    assert it.ended == [True]
    assert it.client_state.path(DIGEST).read_bytes() == CONTENT


def test_what_has_arrived_is_saved_now_and_then_for_the_next_process(
    it: Fetched, tmp_path: Path
) -> None:
    it.take(0, 1000)
    it.driver.now += SAVE_EVERY
    it.take(1000, 2000)
    it.take(2000, 3000)
    it.driver.rest()
    it.take(3000, 4000)  # and then it is killed
    with_it = PartFile(ClientState(tmp_path).part(DIGEST), len(CONTENT), DIGEST)
    assert list(with_it.durable) == [(0, 3000)]
    with_it.close()
    it.driver.now += SAVE_EVERY
    it.take(4000, 5000)
    it.fetching.drop()
    it.driver.rest()


def test_a_chunk_of_another_file_or_no_whole_one_changes_nothing(it: Fetched) -> None:
    it.fetching.take(Chunk("0" * 64, 0, b"another", 1))
    for offset in (0, len(CONTENT) - 1, len(CONTENT)):
        with pytest.raises(ProtocolError, match="no whole chunk"):
            it.fetching.take(Chunk(DIGEST, offset, b"12", 1))
    it.check()
    assert it.ended == []
    it.take(0, len(CONTENT))
    it.check()
    assert it.ended == [True]


@pytest.mark.parametrize("content", [CONTENT, CONTENT[:-1] + b"?"], ids=["whole", "damaged"])
def test_what_an_earlier_process_left_is_read_once_in_a_worker(
    tmp_path: Path, content: bytes
) -> None:
    it = Fetched(tmp_path)
    it.client_state.path(DIGEST).write_bytes(content)
    assert not it.fetching.gather([FILE], 1000)
    assert not it.fetching.gather([FILE], 1000)
    assert it.connection.take() == [], "it may be whole"
    it.check()
    assert it.ended == [True]
    assert it.fetching.gather([FILE], 1000) == (content == CONTENT)
    asked = [(want.file, want.ranges) for want in it.connection.take()]
    assert asked == ([] if content == CONTENT else [(DIGEST, [(0, len(CONTENT))])])


def test_what_is_needed_is_fetched_one_after_the_other_and_all_else_removed(
    tmp_path: Path,
) -> None:
    it = Fetched(tmp_path)
    other = File(digest="0" * 64, size=7)
    it.client_state.path("1" * 64).touch()
    assert not it.fetching.gather([FILE, other], 1000)
    assert it.fetching.digest == DIGEST
    assert not it.client_state.path("1" * 64).exists()
    it.take(0, len(CONTENT))
    it.check()
    assert not it.fetching.gather([FILE, other], 1000)
    assert it.fetching.digest == other.digest
    assert it.fetching.gather([FILE], 1000)
    assert it.fetching.digest is None, "nobody needs it any more"


def test_it_comes_in_chunks_of_the_size_that_is_announced_now(it: Fetched) -> None:
    it.take(0, 3000)
    it.connection.take()
    assert not it.fetching.gather([FILE], 2000)
    assert [want.ranges for want in it.connection.take()] == [[(2000, len(CONTENT))]]
    assert not it.fetching.gather([FILE], 2000)
    assert it.connection.take() == []
    it.take(2000, len(CONTENT), chunk=2000)
    it.check()
    assert it.ended == [True]
    assert it.client_state.path(DIGEST).read_bytes() == CONTENT


def test_if_nothing_arrives_it_is_asked_for_again_but_not_without_a_connection(
    it: Fetched,
) -> None:
    assert len(it.connection.take()) == 1
    it.driver.after(PATIENCE)
    assert [want.ranges for want in it.connection.take()] == [[(0, len(CONTENT))]]
    it.connection.connected = False
    it.driver.after(10 * PATIENCE)
    it.connection.connected = True
    it.take(0, 1000)
    it.fetching.restart()
    assert [want.ranges for want in it.connection.take()] == [[(1000, len(CONTENT))]]


def test_the_connection_learns_that_it_gets_on(it: Fetched) -> None:
    it.take(0, 1000)
    assert it.connection.progress == 1
    it.fetching.take(Chunk("7" * 64, 0, CONTENT[:1000], 2))
    assert it.connection.progress == 1


def test_what_is_asked_for_again_and_again_in_vain_is_said_once(it: Fetched) -> None:
    it.driver.after((FRUITLESS - 1) * PATIENCE)
    it.take(0, 1000)
    it.driver.after((FRUITLESS - 1) * PATIENCE + 1)
    assert it.in_vain == []
    it.driver.after(3 * PATIENCE)
    assert [error.problem for error in it.in_vain] == [
        "The model was asked for 3 times, and nothing comes of it."
    ]
    assert "1056 bytes" in it.in_vain[0].message
