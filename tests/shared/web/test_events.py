import asyncio

from shared.web.events import MOST_READERS, Broadcast, Reader, event
from tests.shared.web.client import Client, wait_for
from tests.shared.web.conftest import ServePage


def broadcast(silence: float = 60) -> Broadcast:
    return Broadcast(lambda: b"beat", silence)


def told(reader: Reader | None, count: int) -> list[bytes]:
    """Read some events, or fewer if they end."""
    assert reader is not None
    messages = reader.events()

    async def read() -> list[bytes]:
        events = [await anext(messages, None) for _ in range(count)]
        await messages.aclose()
        return [each for each in events if each is not None]

    return asyncio.run(read())


def test_an_event_is_written_as_browsers_read_it() -> None:
    assert (
        event("state", b'{"word": "\xc3\xa9"}') == b'event: state\ndata: {"word": "\xc3\xa9"}\n\n'
    )
    assert event("state", b"one\ntwo") == b"event: state\ndata: one\ndata: two\n\n"


def test_the_queue_of_a_page_holds_the_newest_of_each_name() -> None:
    hub = broadcast()
    with hub.reader() as reader:
        for number in range(1000):
            hub.tell("state", b"%d" % number)
            hub.tell("other", b"%d" % -number)
        assert told(reader, 3) == [event("state", b"999"), event("other", b"-999"), b"beat"]


def test_what_was_told_is_not_told_again() -> None:
    hub = broadcast()
    with hub.reader() as reader:
        hub.tell("state", b"1")
        assert told(reader, 2) == [event("state", b"1"), b"beat"]
        hub.tell("state", b"1")
        hub.tell("other", b"2")
        assert told(reader, 2) == [event("other", b"2"), b"beat"]


def test_a_page_that_comes_later_is_told_the_newest() -> None:
    hub = broadcast()
    with hub.reader():
        hub.tell("state", b"1")
        hub.tell("state", b"2")
        with hub.reader() as later:
            assert told(later, 2) == [event("state", b"2"), b"beat"]
    with hub.reader() as much_later:
        hub.tell("other", b"3")
        assert told(much_later, 2) == [event("other", b"3"), b"beat"]


def test_a_silence_ends_with_a_heartbeat() -> None:
    with broadcast(silence=0.001).reader() as reader:
        assert told(reader, 3) == [b"beat"] * 3


def test_a_close_ends_the_pages_there_are_once_they_are_told_and_those_to_come() -> None:
    hub = broadcast()
    with hub.reader() as reader:
        hub.tell("state", b"1")
        hub.close()
        assert told(reader, 3) == [event("state", b"1"), b"beat"]
    with hub.reader() as late:
        assert told(late, 2) == [b"beat"]


def test_one_page_too_many_is_refused_and_comes_in_when_another_has_gone(
    serve_page: ServePage,
) -> None:
    page = serve_page()
    client = Client(page.server).enter()
    streams = [client.events() for _ in range(MOST_READERS)]
    crowded = client.ask("GET", "/events")
    assert (crowded.status, crowded.body) == (503, b"{}")
    streams.pop().close()
    wait_for(lambda: page.broadcast.readers < MOST_READERS)
    streams.append(client.events())
    assert streams[-1].status == 200
    for stream in streams:
        stream.close()
