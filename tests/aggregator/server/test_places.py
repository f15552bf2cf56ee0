"""Updates have a place each to arrive at: who has none waits, and is told when there is one."""

from pathlib import Path

import pytest

from aggregator.server.inbox import MOST_ACTIVE
from aggregator.server.upload import SILENCE
from shared.protocol.messages import Received
from tests.aggregator.server.receives import receives

pytestmark = pytest.mark.usefixtures("tiny")


def test_who_has_no_place_waits_and_is_told_when_there_is_one(
    tmp_path: Path, content: bytes
) -> None:
    clients = [f"client-{number:02}" for number in range(MOST_ACTIVE + 2)]
    with receives(tmp_path, clients) as it:
        for client in clients:
            it.offer(client, content)
        late, last = clients[-2:]
        for client in (late, last):
            (received,) = it.told(client)
            assert isinstance(received, Received)
            assert received.window == 0
        it.receiving.suspend(clients[0])
        (received,) = it.told(late)
        assert isinstance(received, Received)
        assert received.window > 0
        assert it.told(last) == []
        it.driver.after(SILENCE)
        it.driver.after(SILENCE)
        (received, *_) = it.told(last)
        assert isinstance(received, Received)
        assert received.window > 0, "those who are silent give way"


def test_who_waits_is_told_of_the_place_that_another_offer_frees(
    tmp_path: Path, content: bytes
) -> None:
    clients = [f"client-{number:02}" for number in range(MOST_ACTIVE + 1)]
    with receives(tmp_path, clients) as it:
        for client in clients:
            it.offer(client, content)
        it.replies.clear()
        it.offer(clients[0], b"another update")
        windows = {client: getattr(reply, "window", None) for client, reply in it.replies}
        assert len(it.replies) == len(windows) == 2
        assert windows[clients[0]] == 0
        assert windows[clients[-1]]


def test_a_disk_that_fails_one_upload_keeps_no_other_from_being_told(
    tmp_path: Path, content: bytes
) -> None:
    clients = [f"client-{number:02}" for number in range(MOST_ACTIVE + 2)]
    late, last = clients[-2:]
    with receives(tmp_path, clients) as it:
        for client in clients:
            offer = it.offer(client, content)
        in_the_way = it.federation.folder.uploads / f"{last}-{offer.update}.part"
        in_the_way.mkdir()
        it.replies.clear()
        for client in clients[:2]:
            it.receiving._inbox.drop(client)
        it.driver.do(it.receiving.admit)
        (received,) = it.told(late)
        assert isinstance(received, Received)
        assert received.window > 0
        assert it.told(last) == []
        it.driver.after(10)
        assert it.driver.full, "it is said when it is tried again"
        in_the_way.rmdir()
        it.offer(last, content)
        (received,) = it.told(last)
        assert isinstance(received, Received)
        assert received.window > 0
