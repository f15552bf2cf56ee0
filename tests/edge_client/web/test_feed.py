import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest

from edge_client.web import feed as module
from edge_client.web.feed import PULSE, Feed
from shared.errors import StorageError
from shared.web.events import MOST_READERS, Reader
from tests.edge_client.web.stand_in import StandIn


@pytest.fixture
def feed(device: StandIn) -> Iterator[Feed]:
    feed = Feed(device)
    yield feed
    feed.close()


def told(reader: Reader | None) -> Iterator[bytes]:
    """Read as the server does."""
    assert reader is not None
    messages = reader.events()
    with asyncio.Runner() as runner:
        try:
            while (message := runner.run(anext(messages, None))) is not None:
                yield message
        finally:
            runner.run(messages.aclose())


def events(reader: Reader | None, kind: str) -> Iterator[Any]:
    for message in told(reader):
        head, data = message.decode().removesuffix("\n\n").split("\n")
        if head == f"event: {kind}":
            yield json.loads(data.removeprefix("data: "))


def test_state_is_told_at_once_and_after_each_change(feed: Feed, device: StandIn) -> None:
    device.hear(0.1, 0.6, 0.2, 0.1)
    with feed.reader() as messages:
        states = events(messages, "state")
        (first,) = next(states)["recent"]
        assert first["probabilities"] == [0.1, 0.6, 0.2, 0.1]
        assert first["sound"]
        device.correct(first["id"], "sad")
        state = next(states)
        assert state["recent"][0]["label"] == "sad"
        assert state["counts"] == {"angry": 0, "happy": 0, "neutral": 0, "sad": 1}


def test_a_change_at_the_end_of_a_wait_in_vain_is_told(device: StandIn) -> None:
    number = device.hear(0.1, 0.6, 0.2, 0.1)

    class Event(threading.Event):
        """An event beside whose waits in vain a person answers."""

        def wait(self, timeout: float | None = None) -> bool:
            happened = super().wait(timeout)
            if not happened and device.get(number).label is None:
                device.correct(number, "sad")
            return happened

    with closing(Feed(device, silence=PULSE)) as feed:
        before, feed._stirred = feed._stirred, Event()
        before.set()
        with feed.reader() as messages:
            some = b"".join(islice(told(messages), 20))
    assert b'"label":"sad"' in some


def test_status_is_watched_where_nobody_tells(feed: Feed, device: StandIn) -> None:
    with feed.reader() as messages:
        states = events(messages, "state")
        next(states)
        device.facts["round"] = {"number": 3}
        assert next(states)["status"]["round"] == {"number": 3}


def test_a_slow_reader_is_told_the_last_state_only(feed: Feed, device: StandIn) -> None:
    with feed.reader() as messages:
        states = events(messages, "state")
        next(states)
        for _ in range(1000):
            last = device.hear(0.7, 0.1, 0.1, 0.1, seconds=0.01)
        seen: list[Any] = []
        while not seen or seen[-1]["recent"][0]["id"] < last:
            seen.append(next(states))
        assert len(seen) < 100
        assert len(seen[-1]["recent"]) == module.RECENT


def test_silence_is_broken_by_a_heartbeat(device: StandIn) -> None:
    device.level = None
    with closing(Feed(device, silence=0.01)) as feed, feed.reader() as messages:
        levels = events(messages, "level")
        assert next(levels)["level"] is None
        assert next(levels)["now"] < next(levels)["now"]


def test_only_so_many_readers(feed: Feed) -> None:
    readers = [feed.reader() for _ in range(MOST_READERS)]
    for reader in readers:
        assert reader.__enter__() is not None
    with feed.reader() as messages:
        assert messages is None
    readers.pop().__exit__(None, None, None)
    with feed.reader() as messages:
        assert messages is not None
    for reader in readers:
        reader.__exit__(None, None, None)
    assert feed.readers == 0


def test_what_the_last_reader_saw_is_not_told_again(feed: Feed, device: StandIn) -> None:
    device.hear(1, 0, 0, 0)
    with feed.reader() as messages:
        assert next(events(messages, "state"))["recent"]
    device.delete_everything()
    with feed.reader() as messages:
        assert next(events(messages, "state"))["recent"] == []


def test_trouble_of_the_device_is_told_and_passes(feed: Feed, device: StandIn) -> None:
    with feed.reader() as messages:
        states = events(messages, "state")
        next(states)
        device.broken = StorageError("The disk is full.", "Free some space.")
        device.tell()
        assert next(states) == {"status": {"problem": "The disk is full. Free some space."}}
        device.broken = ValueError("a fault")
        device.tell()
        assert next(states) == {"status": {"problem": "is_broken"}}
        device.broken = None
        device.tell()
        assert next(states)["recent"] == []


def test_no_number_is_too_odd(feed: Feed, device: StandIn) -> None:
    nan = float("nan")
    device.level = -float("inf")
    device.hear(nan, 0.5, nan, nan)
    device.facts["training"] = {"loss": nan}
    with feed.reader() as messages:
        assert next(events(messages, "level"))["level"] is None
    with feed.reader() as messages:
        state = next(events(messages, "state"))
    assert state["recent"][0]["probabilities"] == [None, 0.5, None, None]
    assert state["status"]["training"] == {"loss": None}


def test_closing_ends_readers_and_leaves_the_device(device: StandIn) -> None:
    feed = Feed(device)
    ended = threading.Event()

    def read() -> None:
        with feed.reader() as messages:
            for _ in told(messages):
                pass
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    feed.close()
    assert ended.wait(60)
    assert device.subscribers == []
