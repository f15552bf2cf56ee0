"""The operator's page in real Chromium."""

import json
import logging
import re
from contextlib import ExitStack, closing
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from aggregator.ledger import CheckedUpdate
from aggregator.web.feed import LONGEST
from shared.storage.files import sha256_of
from shared.web.events import MOST_READERS
from tests.aggregator.web.conftest import Serve, Served
from tests.browser import DESKTOP, PHONE, Open, legible, pages, text
from tests.shared.web.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONFUSION = [[8, 0, 0, 0], [0, 8, 0, 0], [0, 0, 8, 0], [8, 0, 0, 0]]


def send(served: Served, client: str) -> None:
    """Let a device's update of the open round arrive."""
    rounds = served.federation.rounds
    served.federation.ledger.accept(
        CheckedUpdate(
            round=rounds.number,
            client=client,
            digest="cd" * 32,
            bytes=1_234_000,
            codec="int8",
            examples=30,
            norm=1.0,
            loss=0.3,
            confusion=CONFUSION,
        )
    )
    rounds.accept(client)


def test_it_shows_the_round_the_scores_the_devices_and_the_models(
    open_page: Open, served: Served, console_errors: list[str]
) -> None:
    page = open_page(served.server.address, **DESKTOP)
    text(page, "#state", "Round 12 is open")
    assert re.fullmatch(r"\d+:\d\d left", page.inner_text("#left"))
    assert page.inner_text("#counted") == "2 of 4 updates · 3 ready to train"
    assert page.inner_text("#awaited p") == "attic, hall, workshop"
    assert page.inner_text("#sent p") == "desk (51 KB), kitchen (51 KB)"
    assert page.locator("#charts figure").count() == 2
    assert "Round 11: 0.408" in page.inner_text("#charts")
    assert page.locator("#confusion tbody tr").count() == 4
    table = page.locator("#confusion td").all_inner_texts()
    confusion = served.federation.ledger.round(11).confusion  # type: ignore[union-attr] # it is
    assert [int(cell) for cell in table] == [count for row in confusion or [] for count in row]
    attic = page.inner_text("#devices li:nth-child(1)")
    assert "attic" in attic
    assert "away, seen 2 days ago" in attic
    assert "40 examples · 5 updates" in attic
    assert "chorus-edge 0.2.0" in attic
    fifth = page.inner_text("#devices li:nth-child(5)")
    assert "online, does not train · too few examples" in fifth
    refused = page.inner_text("#refusals")
    assert "attic" in refused
    assert "The update's norm is 3120.5" in refused
    assert "int8\t46\t2.35 MB\t51 KB" in page.inner_text("#traffic")
    assert console_errors == []
    assert "token" not in page.url


def test_examples_that_nobody_knows_are_not_said_to_be_none(
    open_page: Open, served: Served
) -> None:
    served.federation.ledger.see("zoe", present=True)  # as of a device in secure rounds
    served.federation.ledger.flush()
    page = open_page(served.server.address)
    text(page, "#devices li:last-child", "zoe")
    shown = page.inner_text("#devices li:last-child")
    assert "0 updates" in shown
    assert "0 examples" not in shown


def test_the_models_tell_which_the_current_one_comes_from(open_page: Open, served: Served) -> None:
    page = open_page(served.server.address)
    ancestors = {
        version.number
        for version in served.federation.ledger.ancestry(served.federation.current.number)
    }
    shown = page.locator("#models li").all()
    assert len(shown) == 13
    for item in shown:
        told = item.inner_text()
        number = int(re.findall(r"version (\d+) ·", told)[0])
        assert (item.locator(".on").count() == 1) == (number in ancestors), told
    assert len(ancestors) == 12, "one was left behind when the federation went back"
    assert "gone back to version 9" in page.inner_text("#models")
    assert "current" in shown[0].inner_text()


def test_what_happens_arrives_by_itself(open_page: Open, served: Served) -> None:
    page = open_page(served.server.address)
    text(page, "#counted", "2 of 4")
    send(served, "hall")
    text(page, "#counted", "3 of 4")
    text(page, "#sent p", "hall (1.23 MB)")
    text(page, "#awaited p", "attic, workshop")
    served.federation.ledger.see("newcomer", present=True, trains=True)
    served.federation.ledger.flush()
    text(page, "#devices", "newcomer")
    send(served, "attic")
    text(page, "#state", "updates are aggregated")


@pytest.mark.parametrize("devices", [5, 500])
def test_it_is_legible_everywhere(open_page: Open, serve_staged: Serve, devices: int) -> None:
    served = serve_staged(devices, 12 if devices == 5 else 2)
    for screen in (PHONE, DESKTOP):
        page = open_page(served.server.address, **screen)
        page.wait_for_selector("#charts svg")
        legible(page)


def test_five_hundred_devices_are_found_and_ordered(open_page: Open, serve_staged: Serve) -> None:
    served = serve_staged(500, 2)
    page = open_page(served.server.address, **DESKTOP)
    text(page, "#devices-count", "499 of 500 online")
    assert page.locator("#devices li").count() == 500
    text(page, "#awaited summary", "Not sent yet: 498")
    assert page.inner_text("#awaited p").endswith("and 298 more")
    page.select_option("#sort", "away")
    assert page.inner_text("#devices li:first-child b") == "pi-499"
    page.fill("#find-name", "PI-12")
    assert page.locator("#devices li").count() == 10
    page.fill("#find-name", "nobody")
    text(page, "#devices", "No device is called so.")
    page.fill("#find-name", "kitchen")
    send(served, "attic")
    text(page, "#counted", "3 of 499")
    assert page.locator("#devices li").count() == 1, "the choice stays"
    assert page.input_value("#find-name") == "kitchen"


HOSTILE = "<img src=x onerror=alert(1)>"


def test_names_and_texts_of_devices_are_shown_as_they_are(
    open_page: Open, served: Served, console_errors: list[str]
) -> None:
    ledger = served.federation.ledger
    ledger.see(HOSTILE, present=True, software="\u202eevil\x00\x85" + "x" * 5000)
    ledger.see("kitchen", software="</script><script>document.title='hit'</script>")
    ledger.refuse(HOSTILE, "<b>", f"{HOSTILE} {{name}} ${{1}}\u2066\n\x1b[31m", 12, None)
    page = open_page(served.server.address)
    text(page, "#devices", HOSTILE)
    text(page, "#refusals", HOSTILE + " {name} ${1}���[31m")
    assert page.locator("img, main script, main b b").count() == 0
    assert "�evil��" in page.inner_text("#devices")
    longest = page.evaluate("() => Math.max(...[...document.querySelectorAll('bdi')]"
                            ".map((each) => each.textContent.length))")  # fmt: skip
    assert longest == LONGEST + 1
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert page.title() == "Chorus · chorus"
    assert console_errors == []


def test_a_model_is_exported_once_it_was_agreed_to(
    open_page: Open, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    page = open_page(served.server.address, accept_downloads=True, **PHONE)
    version = served.federation.ledger.find(10)
    button = f"#export-{version.number}"
    page.tap(button)
    text(page, "#sure-title", "Export the model of round 10?")
    page.tap("#no")
    assert "exported" not in caplog.text
    page.tap(button)
    with page.expect_download() as download:
        page.tap("#yes")
    assert download.value.suggested_filename == "chorus-round-10.safetensors"
    assert sha256_of(download.value.path()) == version.digest
    assert "The model of round 10 was exported from the page." in caplog.text


def test_what_came_of_an_order_is_seen_where_it_was_given(open_page: Open, served: Served) -> None:
    page = open_page(served.server.address, **PHONE)
    served.busy = True
    page.tap(f"#rollback-{served.federation.ledger.find(7).number}")
    page.tap("#yes")
    text(page, "#notice", "Round 12 is being written down.")
    assert page.evaluate("() => scrollY") > 200
    place = page.locator("#notice").bounding_box()
    header = page.locator("header").bounding_box()
    assert place
    assert header
    assert header["y"] + header["height"] <= place["y"] + 1 < 600


def test_it_goes_back_to_a_model_once_it_was_agreed_to(
    open_page: Open, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    page = open_page(served.server.address, **DESKTOP)
    to = served.federation.ledger.find(7)
    page.click(f"#rollback-{to.number}")
    text(page, "#sure-text", "An open round is abandoned")
    page.keyboard.press("Escape")
    assert served.federation.current.origin == "round"
    served.busy = True
    page.click(f"#rollback-{to.number}")
    page.click("#yes")
    text(page, "#notice", "Round 12 is being written down. Try again in a moment.")
    served.busy = False
    page.click(f"#rollback-{to.number}")
    page.click("#yes")
    text(page, "#models li:first-child", "gone back to version 8")
    text(page, "#notice", "The model of round 7 is the current one again.")
    text(page, "#rounds", "rolled back to the model of round 7")
    assert served.federation.current.digest == to.digest
    assert "The page went back to the model of round 7." in caplog.text


def test_it_pauses_and_goes_on_once_it_was_agreed_to(
    open_page: Open, serve_staged: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    served = serve_staged()
    page = open_page(served.server.address, **PHONE)
    page.tap("#pause")
    text(page, "#sure-text", "A round that is open goes on to its end.")
    page.tap("#no")
    assert not served.federation.rounds.paused
    page.tap("#pause")
    page.tap("#yes")
    text(page, "#notice", "The federation is paused.")
    text(page, "#pause", "Go on")
    text(page, "#state", "Round 12 is open")
    served.federation.ledger.abandon_round(12, "made up")
    served.federation.rounds.abandon()
    served.federation.rounds.end(0)
    text(page, "#state", "Paused")
    text(page, "#waiting", "Paused: round 13 does not open until the page lets it (--web).")
    page.tap("#pause")
    page.tap("#yes")
    text(page, "#pause", "Pause")
    assert "Paused" not in page.inner_text("#state")
    assert not served.federation.rounds.paused
    assert "The page paused the federation." in caplog.text
    assert "The page let the federation go on." in caplog.text


def test_the_keyboard_reaches_everything(open_page: Open, serve_staged: Serve) -> None:
    page = open_page(serve_staged(12, 4).server.address, **DESKTOP)
    page.wait_for_selector("#charts svg")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        place, outline = page.evaluate(
            "() => [document.activeElement.id || document.activeElement.tagName,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if place != "BODY":
            assert outline == "solid", place
        reached.add(place)
    assert reached >= {
        *("svg", "SUMMARY", "find-name", "sort", "export-4", "rollback-3"),
        *("confusion", "rounds", "devices", "models", "refusals", "traffic"),
    }
    page.focus("#export-4")
    served_again = page.locator("#devices li").count()
    assert served_again == 12
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "no"


def test_a_curve_is_read_by_pointer_and_by_keys(open_page: Open, served: Served) -> None:
    page = open_page(served.server.address, **DESKTOP)
    reading = "#charts figure:nth-child(1) output"
    text(page, reading, "Round 11: ")
    page.focus("#charts figure:nth-child(1) svg")
    page.keyboard.press("ArrowLeft")
    text(page, reading, "Round 10: ")
    page.keyboard.press("Home")
    text(page, reading, "Round 1: ")
    send(served, "hall")
    text(page, "#counted", "3 of 4")
    text(page, reading, "Round 1: ")  # what is looked at stays
    page.keyboard.press("Escape")
    text(page, reading, "Round 11: ")
    page.locator("#charts figure:nth-child(1) svg").hover(position={"x": 60, "y": 60})
    text(page, reading, "Round 1: ")


def test_what_has_the_focus_keeps_it_when_something_arrives(
    open_page: Open, served: Served
) -> None:
    page = open_page(served.server.address, **DESKTOP)
    page.focus("#export-5")
    served.federation.ledger.see("newcomer", present=True)
    served.federation.ledger.flush()
    text(page, "#devices", "newcomer")
    assert page.evaluate("() => document.activeElement.id") == "export-5"


def test_a_page_that_was_told_nothing_says_nothing_of_devices(
    browser: "Browser", served: Served, console_errors: list[str]
) -> None:
    client = Client(served.server).enter()
    with ExitStack() as others, pages(browser, console_errors) as open_any:
        for _ in range(MOST_READERS):
            others.enter_context(closing(client.events()))
        page = open_any("about:blank")
        page.clock.install()
        page.goto(served.server.address)
        text(page, "#notice", "Too many pages of this aggregator are open.")
        page.clock.fast_forward("01:00")
        assert page.inner_text("#devices") == ""
        assert not page.is_visible("#find")


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    own, common = files("aggregator.web") / "static", files("shared.web") / "static"
    texts = json.loads((own / "texts.json").read_text())
    source = "".join(
        file.read_text()
        for folder in (own, common)
        for file in folder.iterdir()
        if file.name.endswith((".html", ".js"))
    )
    python = (files("aggregator.web") / "feed.py").read_text()
    python += (files("shared.web") / "files.py").read_text()
    asked = ("export", "rollback", "invite", "again", "pause", "go_on")
    built = {f"{kind}_{part}" for kind in asked for part in ("title", "text")}
    built |= {"pause_done", "go_on_done"}
    built |= {f"origin_{origin}" for origin in ("initial", "round", "rollback")}
    built |= {"export", "rollback"}
    for name in texts.keys() - built:
        assert re.search(rf"(\$|texts\.|\"){name}\b", source + python), name
    for name in re.findall(r"\btexts\.(\w+)|\$([a-z]\w+)", source):
        assert "".join(name) in {*texts, "json"}, name
