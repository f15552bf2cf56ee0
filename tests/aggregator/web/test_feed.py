"""What the pages are told, without a browser."""

import threading
import time
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ledger import History, Ledger
from aggregator.server.screen import look
from aggregator.web import feed
from aggregator.web.feed import LONGEST, MOST_DEVICES, Feed, plain
from aggregator.web.overview import Overview
from tests.aggregator.web.conftest import Serve, Served
from tests.aggregator.web.staged import stage
from tests.brokers import wait_until
from tests.shared.web.client import Client


def told(served: Served, *names: str) -> list[Any]:
    events = Client(served.server).enter().events()
    found = [events.next(name) for name in names]
    events.close()
    return found


@given(st.text(st.characters(), max_size=2 * LONGEST))
def test_a_text_from_elsewhere_is_short_printable_and_can_be_encoded(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= LONGEST + 1
    assert shown.isprintable()
    shown.encode()
    if text.isprintable() and len(text) <= LONGEST:
        assert shown == text


def test_a_page_that_comes_just_after_the_last_has_gone_is_told_everything(
    served: Served,
) -> None:
    for _ in range(3):
        federation, devices, models = told(served, "federation", "devices", "models")
        assert federation["name"] == "chorus"
        assert len(devices["devices"]) == 5
        assert len(models) == 13


def test_a_page_that_comes_at_the_end_of_a_wait_in_vain_is_not_forgotten(
    served: Served,
) -> None:
    heard = list[bool]()
    federation = served.federation

    class Event(threading.Event):
        """An event beside whose first wait in vain a page comes."""

        def wait(self, timeout: float | None = None) -> bool:
            heard.append(super().wait(timeout))
            if heard.count(False) == 1 and not heard[-1]:
                self.set()
            return heard[-1]

    with (
        History(federation.folder.ledger) as history,
        closing(Feed(Overview(history), lambda: look(federation, time.monotonic()))) as feed,
    ):
        before, feed._stirred = feed._stirred, Event()
        before.set()
        with feed.reader():
            wait_until(lambda: heard.count(False) > 1, "two waits in vain")
    assert heard[heard.index(False) + 1], "the page that came was heard of"


def test_of_very_many_devices_those_seen_last_are_told(serve_staged: Serve) -> None:
    served = serve_staged(2, 2)
    ledger = served.federation.ledger
    ledger._clock = count(time.time()).__next__
    for number in range(MOST_DEVICES + 10):
        ledger.see(f"gone-{number:04}", present=False)
    ledger.flush()
    (devices,) = told(served, "devices")
    names = {device["name"] for device in devices["devices"]}
    assert len(names) == MOST_DEVICES
    assert devices["more"] == 12
    assert "kitchen" in names, "it is there"
    assert f"gone-{MOST_DEVICES + 9:04}" in names


def test_a_long_course_is_thinned_and_its_end_stays(
    serve_staged: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_POINTS", 50)
    served = serve_staged(2, 2)
    ledger, last = served.federation.ledger, 3 + 2 * feed.MOST_POINTS
    ledger.abandon_round(2, "made up")
    for number in range(3, last + 1):
        ledger.open_round(number, ["desk"], 1, {})
        ledger.abandon_round(number, "made up")
    (course,) = told(served, "course")
    rounds = [point["round"] for point in course["points"]]
    assert len(rounds) <= feed.MOST_POINTS
    assert rounds[-1] == last
    assert {after - before for before, after in pairwise(rounds)} == {3}


def test_following_the_ledger_comes_to_the_same_as_reading_it_anew(tmp_path: Path) -> None:
    stage(tmp_path, 3, 1)
    with History(tmp_path / "ledger.sqlite") as history:
        overview = Overview(history)
        first = overview.read()
        assert overview.read() is first, "nothing has changed"
        stage_on(tmp_path)
        followed = overview.read()
        assert followed is not first
        assert followed == Overview(history).read()
        assert followed.ended == {"abandoned": 1}
        assert followed.tally.updates == {"int8": 2}


def stage_on(folder: Path) -> None:
    """Let another process write."""
    ledger = Ledger(folder / "ledger.sqlite")
    ledger.abandon_round(1, "made up")
    ledger.open_round(2, ["desk"], 1, {})
    ledger.close()


def test_a_browser_that_reads_nothing_holds_nobody_up(served: Served) -> None:
    client = Client(served.server).enter()
    deaf = client.connect()
    deaf.sendall(
        f"GET /events HTTP/1.1\r\nHost: {client.host}\r\nCookie: {client.cookie}\r\n\r\n".encode()
    )
    events = client.events()
    for number in range(200):
        served.federation.ledger.see(f"new-{number:03}", software="x" * 100)
        served.federation.ledger.flush()
    while len(events.next("devices")["devices"]) < 205:
        pass
    events.close()
    deaf.close()


def test_what_the_page_asks_is_checked(served: Served) -> None:
    client = Client(served.server)
    assert client.ask("GET", "/models/3.safetensors").status == 401
    assert client.do("rollback", round=3).status == 401
    client.enter()
    assert client.ask("GET", "/models/3.safetensors").status == 200
    for name in ("0", "99", "x", "-1", "9" * 18, "9" * 5000, "3%2F..%2F..%2Flock"):
        assert client.ask("GET", f"/models/{name}.safetensors").status == 404
    for content in ({}, {"round": -1}, {"round": "3"}, {"round": 3, "more": 1}, {"round": 1 << 63}):
        assert client.do("rollback", **content).status == 400
    assert client.ask("POST", "/do/rollback", b"{}", Origin="http://evil.example").status == 403
    answer = client.do("rollback", round=99)
    assert answer.status == 409
    assert "no model after round 99" in answer.json["problem"]
    assert client.ask("GET", "/do/rollback").status == 404


def test_a_model_whose_file_is_damaged_or_gone_is_not_sent(served: Served) -> None:
    client = Client(served.server).enter()
    version = served.federation.ledger.version(3)
    file = served.federation.files.path(version.digest)
    file.write_bytes(file.read_bytes()[:-1])
    assert client.ask("GET", "/models/3.safetensors").status == 404
    file.unlink()
    assert client.ask("GET", "/models/3.safetensors").status == 404
