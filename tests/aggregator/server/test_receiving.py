"""Updates from their offer to the moment they count, with every thread in the test's hands."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed
from aggregator.server.inbox import CHUNKS, MOST_ACTIVE
from shared.errors import StorageError
from shared.protocol.frames import Chunk
from shared.protocol.messages import Accepted, Received, Refused
from tests.aggregator.driver import put, random_update, settings
from tests.aggregator.server.receives import Receives, receives
from tests.aggregator.server.updates import update_of

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Receives]:
    with receives(tmp_path, ["anna", "ben"]) as one:
        yield one


def test_what_arrives_is_acknowledged_when_it_is_safe_and_counts_when_it_is_checked(
    it: Receives, content: bytes
) -> None:
    offer = it.offer("anna", content)
    (received,) = it.told("anna")
    assert isinstance(received, Received)
    assert (received.ranges, received.window > 0) == ([], True)
    it.receiving.chunk("anna", Chunk(offer.update, 0, content[:1024]).encode())
    it.driver.rest()
    assert not it.driver.workers["disk"].work, "little waits for more"
    it.driver.after(0.125)
    assert it.told("anna") == []
    it.driver.work("disk")
    (received,) = it.told("anna")
    assert isinstance(received, Received)
    assert received.ranges == [(0, 1024)]
    it.send("anna", offer, content)
    it.driver.rest()
    it.driver.work("disk")
    assert isinstance(it.told("anna")[-1], Received)
    assert it.federation.ledger.updates(1) == []
    it.driver.work("arithmetic")
    assert it.told("anna") == [Accepted(update=offer.update)]
    assert [update.client for update in it.federation.ledger.updates(1)] == ["anna"]
    assert it.federation.folder.update(1, "anna").read_bytes() == content
    assert it.steps == [None], "ben has not answered"
    (client,) = [one for one in it.federation.ledger.clients() if one.name == "anna"]
    assert client.bytes_up == len(content)
    it.offer("anna", content)
    assert it.told("anna") == [Accepted(update=offer.update)], "it counts already"


def test_an_update_that_is_said_to_count_and_does_not_is_forgotten(
    it: Receives, content: bytes
) -> None:
    for _ in range(2):
        offer = it.offer("anna", content, counted=True)
        (reply,) = it.told("anna")
        assert isinstance(reply, Refused)
        assert (reply.update, reply.reason) == (offer.update, "forgotten")
    assert [refusal.reason for refusal in it.federation.ledger.refusals()] == ["forgotten"]
    it.send("anna", it.offer("anna", content), content)
    it.work()
    assert isinstance(it.told("anna")[-1], Accepted)
    it.offer("anna", content, counted=True)
    assert isinstance(it.told("anna")[-1], Accepted)


def test_the_last_update_closes_the_round(it: Receives, tmp_path: Path) -> None:
    for name in ("anna", "ben"):
        content = update_of(name, tmp_path)
        it.send(name, it.offer(name, content), content)
        it.work()
    assert it.steps == [None, Closed(1, ("anna", "ben"))]


def test_one_that_arrived_damaged_is_refused_and_can_be_sent_again(
    it: Receives, content: bytes
) -> None:
    offer = it.offer("anna", content)
    it.send("anna", offer, bytes(len(content)))
    it.work()
    refused = it.told("anna")[-1]
    assert isinstance(refused, Refused)
    assert refused.reason == "damaged"
    assert not list(it.federation.folder.uploads.iterdir())
    it.send("anna", it.offer("anna", content), content)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update)


def test_one_with_values_that_are_none_is_refused(it: Receives, content: bytes) -> None:
    content = content[:-4] + b"\xff\xff\xff\xff"
    it.send("anna", it.offer("anna", content), content)
    it.work()
    refused = it.told("anna")[-1]
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid"
    assert [one.reason for one in it.federation.ledger.refusals()] == ["invalid"]


def test_one_that_the_disk_does_not_give_back_is_not_refused(
    it: Receives, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    offer = it.offer("anna", content)
    it.send("anna", offer, content)
    with monkeypatch.context() as failing:
        failing.setattr("shared.storage.tensor_file._parse", fails)
        it.work()
    assert all(isinstance(told, Received) for told in it.told("anna")), "refused, it would be lost"
    it.offer("anna", content)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update), "it was kept"


def test_one_that_cannot_be_entered_counts_when_there_is_room(it: Receives, content: bytes) -> None:
    it.federation.folder.updates.touch()  # a file where a folder should be: nothing can be kept
    offer = it.offer("anna", content)
    it.send("anna", offer, content)
    it.work()
    assert all(isinstance(told, Received) for told in it.told("anna")), "it hears nothing"
    assert it.federation.ledger.updates(1) == []
    it.federation.folder.updates.unlink()
    it.offer("anna", content)
    it.send("anna", offer, content)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update)


class MaskedAreDue:
    """Stands in for the stages of a secure round: nothing has been received before."""

    def received(self, *_: object) -> bool:
        return False


@pytest.mark.parametrize("stages", [None, MaskedAreDue()], ids=["plain", "masked"])
def test_a_full_disk_keeps_no_refused_update_open(
    stages: Any, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError.full_disk("the ledger")

    def opened() -> list[str]:
        uploads = str(tmp_path / "state" / "uploads")
        files = (str(name.resolve()) for name in Path("/proc/self/fd").iterdir())
        return [file for file in files if file.startswith(uploads)]

    with receives(tmp_path, ["anna", "ben"]) as one:
        it = Receives(one.federation, tmp_path, stages)
        monkeypatch.setattr(it.federation.ledger, "refuse", refuse)
        it.send("anna", it.offer("anna", content), bytes(len(content)))
        it.work()
        assert isinstance(it.told("anna")[-1], Refused)
        assert it.driver.full, "it is said"
        assert opened() == []


def test_one_that_is_replaced_while_it_is_checked_does_not_count(
    it: Receives, content: bytes, tmp_path: Path
) -> None:
    it.send("anna", it.offer("anna", content), content)
    it.driver.rest()
    it.driver.work("disk")
    other = update_of("anna", tmp_path, 2)
    offer = it.offer("anna", other)
    it.told("anna")
    it.driver.work("arithmetic")
    assert it.told("anna") == []
    assert it.federation.ledger.updates(1) == []
    it.send("anna", offer, other)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update)


def test_one_that_is_checked_when_its_round_closes_is_late(tmp_path: Path, content: bytes) -> None:
    with receives(tmp_path, ["anna", "ben"], min_updates=1, round_seconds=60) as it:
        put(it.federation, 1, random_update("ben", 1))
        it.send("anna", it.offer("anna", content), content)
        it.driver.rest()
        it.driver.work("disk")
        assert isinstance(it.federation.rounds.tick(100), Closed)
        it.receiving.clear()
        it.told("anna")
        it.driver.work("arithmetic")
        (refused,) = it.told("anna")
        assert isinstance(refused, Refused)
        assert refused.reason == "late"
        it.work()
        assert not list(it.federation.folder.uploads.iterdir())


def test_chunks_that_the_end_of_a_round_overtakes_are_no_flood(
    it: Receives, content: bytes
) -> None:
    offer = it.offer("anna", content)
    it.receiving.clear()
    late = Chunk(offer.update, 0, content[:1024]).encode()
    assert it.receiving.chunk("anna", late)
    assert not it.receiving.chunk("bert", late)
    assert not it.receiving.chunk("anna", Chunk("0" * 64, 0, content[:1024]).encode())
    window = CHUNKS // MOST_ACTIVE
    assert sum(it.receiving.chunk("anna", late) for _ in range(2 * window)) == window - 1


def test_a_chunk_that_is_none_ends_nothing(it: Receives, content: bytes) -> None:
    it.receiving.chunk("anna", b"no frame")
    it.receiving.chunk("anna", Chunk("0" * 64, 0, b"nobody awaits it").encode())
    offer = it.offer("anna", content)
    it.receiving.chunk("anna", Chunk(offer.update, len(content), b"beyond").encode())
    it.send("anna", offer, content)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update)


def test_pieces_that_are_no_whole_chunks_are_left_aside_and_said_once(
    it: Receives, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    offer = it.offer("anna", content)
    for offset in range(0, 4096, 2):
        it.receiving.chunk(
            "anna", Chunk(offer.update, offset, content[offset : offset + 1]).encode()
        )
    it.receiving.chunk("anna", Chunk(offer.update, 0, content[:2048]).encode())
    it.receiving.chunk("anna", Chunk(offer.update, 512, content[512:1536]).encode())
    it.driver.after(1)
    assert not it.driver.workers["disk"].work
    assert [one.stat().st_size for one in it.federation.folder.uploads.glob("*.ranges")] == [0]
    said = [record.message for record in caplog.records if "no whole chunk" in record.message]
    assert said == ["anna: A piece of its update is no whole chunk of 1024 bytes."]
    it.send("anna", offer, content)
    it.work()
    assert it.told("anna")[-1] == Accepted(update=offer.update)


def test_who_has_sent_other_chunks_before_is_told_of_those_that_are_whole_now(
    tmp_path: Path, content: bytes
) -> None:
    with receives(tmp_path, ["anna", "ben"]) as it:
        offer = it.offer("anna", content)
        for begin in (0, 1024, 2048):
            it.receiving.chunk(
                "anna", Chunk(offer.update, begin, content[begin : begin + 1024]).encode()
            )
        it.driver.after(1)
        it.driver.work("disk")
    with Federation(settings(tmp_path / "state", quorum=2, chunk=2048)) as federation:
        federation.rounds.start(0)
        it = Receives(federation, tmp_path)
        it.offer("anna", content)
        (received,) = it.told("anna")
        assert isinstance(received, Received)
        assert received.ranges == [(0, 2048)]
        it.receiving.close()


def test_who_offers_ever_new_updates_is_refused_at_last(it: Receives) -> None:
    for number in range(17):
        it.offer("anna", bytes([number]) * 100)
    it.told("anna")
    it.offer("anna", b"one more")
    (refused,) = it.told("anna")
    assert isinstance(refused, Refused)
    assert (refused.reason, "too many" in refused.sentence) == ("unwelcome", True)
