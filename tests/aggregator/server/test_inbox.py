"""Updates on their way in: places, turns, what a client's second offer does, what stays."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aggregator.server.inbox import (
    CHUNKS,
    MOST_ACTIVE,
    MOST_ASIDE,
    MOST_REPLACED,
    WINDOWS,
    Inbox,
)
from aggregator.server.upload import SILENCE, SLOWEST, SOON
from shared.errors import ProtocolError
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Received

CONTENT = bytes(range(256)) * 16
RUN, MODEL = "0" * 32, "1" * 64


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    one = open_inbox(tmp_path)
    yield one
    one.close()


def open_inbox(folder: Path) -> Inbox:
    def at_once(work: Callable[[], None]) -> None:
        work()

    return Inbox(folder / "uploads", 1 << 16, at_once)


def offer(content: bytes = CONTENT, number: int = 1) -> Offer:
    return Offer(
        update=hashlib.sha256(content).hexdigest(),
        size=len(content),
        run=RUN,
        round=number,
        model=MODEL,
        codec="float32",
        examples=3,
    )


def told(inbox: Inbox, client: str, offer: Offer, now: float) -> Received:
    """Offer an update; give what its client is told."""
    upload, *_ = inbox.offer(client, offer, now)
    return inbox.received(upload)


def send(inbox: Inbox, client: str, begin: int, end: int, content: bytes = CONTENT) -> float | None:
    chunk = Chunk(hashlib.sha256(content).hexdigest(), begin, content[begin:end])
    return inbox.chunk(client, chunk, 0)


def flush(inbox: Inbox, *, everything: bool = True) -> None:
    for upload in inbox.to_flush(everything=everything):
        upload.flush()
        upload.end_flush()


def drop(inbox: Inbox, client: str) -> None:
    inbox.end(inbox._uploads[client], "dropped")


def test_what_was_safe_is_taken_up_by_the_next_process(tmp_path: Path) -> None:
    first = open_inbox(tmp_path)
    first.offer("anna", offer(), 0)
    assert send(first, "anna", 0, 1000) == SOON
    flush(first)
    assert send(first, "anna", 3000, 4000) == SOON  # and then it ends
    first.close()
    second = open_inbox(tmp_path)
    assert told(second, "anna", offer(), 0).ranges == [(0, 1000)]
    second.close()


def test_only_what_is_awaited_is_taken(inbox: Inbox) -> None:
    assert send(inbox, "anna", 0, 10) is None
    inbox.offer("anna", offer(), 0)
    assert send(inbox, "ben", 0, 10) is None
    assert send(inbox, "anna", 0, 10, content=b"another update") is None
    assert send(inbox, "anna", 0, 10) == SOON
    with pytest.raises(ProtocolError, match="ends at byte"):
        inbox.chunk("anna", Chunk(offer().update, len(CONTENT) - 1, b"12"), 0)


def test_what_arrives_is_made_durable_in_batches_and_the_last_at_once(inbox: Inbox) -> None:
    batch = WINDOWS // MOST_ACTIVE // 2
    content = bytes(3 * batch)
    inbox.offer("anna", offer(content), 0)
    assert send(inbox, "anna", 0, 1000, content) == SOON
    assert send(inbox, "anna", 1000, 2000, content) is None, "it was said"
    assert not inbox.to_flush(everything=False), "too little"
    assert send(inbox, "anna", 2000, batch + 1, content) == 0
    assert send(inbox, "anna", batch + 1, batch + 2, content) is None
    flush(inbox, everything=False)
    assert told(inbox, "anna", offer(content), 0).ranges == [(0, batch + 2)]
    assert send(inbox, "anna", 2 * batch, 3 * batch, content) == 0
    flush(inbox, everything=False)
    assert send(inbox, "anna", batch + 2, batch + 3, content) == SOON
    assert send(inbox, "anna", batch + 3, 2 * batch, content) == 0, "all is there"
    (upload,) = inbox.to_flush(everything=False)
    upload.flush()
    assert upload.complete


def test_another_update_of_a_client_takes_the_place_of_the_first(
    inbox: Inbox, tmp_path: Path
) -> None:
    inbox.offer("anna", offer(), 0)
    send(inbox, "anna", 0, 1000)
    inbox.offer("anna", offer(b"second"), 0)
    assert [path.name for path in (tmp_path / "uploads").glob("*.part")] == [
        f"anna-{offer(b'second').update}.part"
    ]
    assert inbox.find("anna", offer(b"second").update)
    assert not inbox.find("anna", offer().update)


def test_small_chunks_have_a_small_window(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "uploads", 1024, lambda work: work())
    assert MOST_ACTIVE * told(inbox, "anna", offer(), 0).window == CHUNKS * 1024
    inbox.close()


def test_a_client_that_offers_ever_new_updates_is_told_that_it_is_enough(inbox: Inbox) -> None:
    for number in range(MOST_REPLACED + 1):
        assert not inbox.tires("anna", offer(bytes([number])).update)
        inbox.offer("anna", offer(bytes([number])), 0)
    assert inbox.tires("anna", offer(b"one more").update)
    assert not inbox.tires("anna", offer(bytes([MOST_REPLACED])).update), "its last may go on"
    assert not inbox.tires("ben", offer(b"one more").update)
    inbox.clear()
    assert not inbox.tires("anna", offer(b"one more").update)


def test_clients_wait_for_their_turn_and_get_it(inbox: Inbox) -> None:
    for number in range(MOST_ACTIVE):
        window = told(inbox, f"client-{number:02}", offer(), 0).window
        assert window == WINDOWS // MOST_ACTIVE
    assert told(inbox, "late", offer(), 0).window == 0
    assert inbox.waiting
    assert not inbox.admit(0)
    drop(inbox, "client-03")
    assert [upload.client for upload in inbox.admit(0)] == ["late"]
    assert not inbox.waiting


def test_who_is_silent_gives_way_and_keeps_what_arrived(inbox: Inbox) -> None:
    for number in range(MOST_ACTIVE):
        inbox.offer(f"client-{number:02}", offer(), 0)
    send(inbox, "client-00", 0, 1000)
    flush(inbox)
    inbox.offer("late", offer(), SILENCE + 1)
    assert len(inbox.make_room(SILENCE + 1)) == MOST_ACTIVE
    assert "late" in [upload.client for upload in inbox.admit(SILENCE + 1)]
    drop(inbox, "late")
    inbox.admit(SILENCE + 1)
    assert told(inbox, "client-00", offer(), SILENCE + 1).ranges == [(0, 1000)]


def slow_senders(inbox: Inbox, seconds: int, bytes_each: int) -> bytes:
    """Fill all places, let another one wait, and let those with a place send every 10 s."""
    content = bytes(1 << 20)
    for number in range(MOST_ACTIVE):
        inbox.offer(f"client-{number:02}", offer(content), 0)
    inbox.offer("late", offer(), 0)
    for now in range(10, seconds + 1, 10):
        begin = (now // 10 - 1) * bytes_each
        for number in range(MOST_ACTIVE):
            chunk = Chunk(offer(content).update, begin, content[begin : begin + bytes_each])
            inbox.chunk(f"client-{number:02}", chunk, now)
        flush(inbox)
    return content


def test_who_sends_a_little_now_and_then_gives_way_to_those_that_wait(inbox: Inbox) -> None:
    content = slow_senders(inbox, 40, 1024)
    assert len(inbox.make_room(41)) == MOST_ACTIVE
    assert next(upload.client for upload in inbox.admit(41)) == "late"
    # What arrived stays; those behind the last place wait at the queue's end.
    assert told(inbox, "client-00", offer(content), 41).ranges == [(0, 4096)]
    assert told(inbox, "client-15", offer(content), 41).window == 0


def test_a_slow_line_keeps_its_place_at_the_pace_that_is_demanded(inbox: Inbox) -> None:
    slow_senders(inbox, 100, 10 * SLOWEST)
    assert inbox.make_room(100) == []


def test_sending_the_same_again_is_no_progress(inbox: Inbox) -> None:
    content = slow_senders(inbox, 30, 1024)
    for number in range(MOST_ACTIVE):
        chunk = Chunk(offer(content).update, 0, content[:3072])
        inbox.chunk(f"client-{number:02}", chunk, 31)
    flush(inbox)
    assert len(inbox.make_room(31)) == MOST_ACTIVE


def test_pace_is_counted_from_when_somebody_waits(inbox: Inbox) -> None:
    for number in range(MOST_ACTIVE):
        inbox.offer(f"client-{number:02}", offer(), 0)
    for number in range(MOST_ACTIVE):
        send(inbox, f"client-{number:02}", 0, 1000)
        inbox._uploads[f"client-{number:02}"].arrived_at = 1000
    flush(inbox)
    inbox.offer("late", offer(), 1000)
    inbox.offer("late", offer(), 1010)
    assert inbox.make_room(1020) == []
    inbox._uploads["client-03"].arrived_at = 1031
    assert len(inbox.make_room(1031)) == MOST_ACTIVE


def test_who_is_away_holds_no_file_open_for_ever(inbox: Inbox, tmp_path: Path) -> None:
    for number in range(MOST_ASIDE + 10):
        inbox.offer(f"client-{number:03}", offer(), 0)
        send(inbox, f"client-{number:03}", 0, 1000)
        flush(inbox)
        inbox.suspend(f"client-{number:03}")
    assert len(inbox._aside) == MOST_ASIDE
    # The first one's files were closed, not removed.
    assert told(inbox, "client-000", offer(), 0).ranges == [(0, 1000)]
    inbox.clear()
    assert not list((tmp_path / "uploads").iterdir())


def test_what_was_on_its_way_when_the_round_ended_is_late_once(tmp_path: Path) -> None:
    inbox = open_inbox(tmp_path)
    contents = {f"pi-{number}": bytes([number]) * 4096 for number in range(MOST_ACTIVE + 1)}
    for client, content in contents.items():
        inbox.offer(client, offer(content), 0)
    inbox.clear()
    window = CHUNKS // MOST_ACTIVE
    for client, content in contents.items():
        update = offer(content).update
        assert not inbox.is_late("eve", update)
        late = [inbox.is_late(client, update) for _ in range(window + 1)]
        # The last one had no place, and was not told to send anything.
        assert late == [client != f"pi-{MOST_ACTIVE}"] * window + [False]
    inbox.offer("pi-0", offer(contents["pi-0"], number=2), 0)
    inbox.clear()
    assert not inbox.is_late("pi-1", offer(contents["pi-1"]).update)
