"""What the page asks about, in real Chromium: what the device was unsure of comes first."""

from typing import TYPE_CHECKING

from tests.browser import Open, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Route


def test_it_asks_about_what_it_was_unsure_of_first(open_page: Open, device: StandIn) -> None:
    earlier = device.hear(0.3, 0.4, 0.2, 0.1, unsure=True)
    later = device.hear(0.2, 0.2, 0.45, 0.15, unsure=True)
    sure = device.hear(0.7, 0.1, 0.1, 0.1)
    page = open_page()
    shown(page, later)
    assert page.inner_text("#answer") == "It is not sure of this one. Tap what it was."
    marks = [page.inner_text(f"#list li:nth-child({place}) button > span") for place in (1, 2, 3)]
    assert marks == ["", "?", "?"]
    text(page, "#newest", "New: Angry")
    page.tap(row("sad"))
    text(page, "#answer", "You said so, not Neutral.")
    shown(page, later)  # what was said can be seen
    text(page, "#newest", "Unsure: Happy")
    page.tap("#newest")
    shown(page, earlier)
    page.wait_for_selector("#card:not(.settling)")
    newest = device.hear(0.1, 0.1, 0.7, 0.1)
    text(page, "#newest", "New: Neutral")
    shown(page, earlier)
    page.tap("#discard")
    shown(page, newest)
    assert [device.get(number).label for number in (later, sure, newest)] == ["sad", None, None]
    unsure = device.hear(0.3, 0.4, 0.2, 0.1, unsure=True)
    shown(page, unsure)
    text(page, "#spoken", "Not sure: perhaps Happy, 40%.")


def test_the_next_one_it_was_unsure_of_comes_with_what_is_heard_next(
    open_page: Open, device: StandIn
) -> None:
    earlier = device.hear(0.3, 0.4, 0.2, 0.1, unsure=True)
    later = device.hear(0.2, 0.2, 0.45, 0.15, unsure=True)
    page = open_page()
    shown(page, later)
    page.tap(row("neutral"))
    text(page, "#answer", "You confirmed it.")
    device.hear(0.7, 0.1, 0.1, 0.1)
    shown(page, earlier)
    page.tap("#newest")
    text(page, "#word", "Angry")


def test_what_was_said_stays_to_be_seen_if_the_device_tells_of_it_before_it_answers(
    open_page: Open, device: StandIn
) -> None:
    earlier = device.hear(0.3, 0.4, 0.2, 0.1, unsure=True)
    later = device.hear(0.2, 0.2, 0.45, 0.15, unsure=True)
    page = open_page()
    held = list[tuple["Route", "APIResponse"]]()
    page.route("**/do/correct", lambda route: held.append((route, route.fetch())))
    shown(page, later)
    page.tap(row("neutral"))
    text(page, "#answer", "You confirmed it.")
    shown(page, later)
    device.hear(0.7, 0.1, 0.1, 0.1)
    shown(page, earlier)
    page.tap("#newest")
    [(route, answer)] = held
    route.fulfill(response=answer)
    text(page, "#toast", "You confirmed it.")
    text(page, "#word", "Angry")


def test_who_goes_elsewhere_before_undo_is_answered_stays_there(
    open_page: Open, device: StandIn
) -> None:
    first = device.hear(0.14, 0.72, 0.11, 0.03)
    second = device.hear(0.7, 0.1, 0.1, 0.1)
    page = open_page()
    held = list[tuple["Route", "APIResponse"]]()
    page.route("**/do/undo", lambda route: held.append((route, route.fetch())))
    shown(page, second)
    page.tap(row("angry"))
    text(page, "#answer", "You confirmed it.")
    page.tap("#undo")
    text(page, "#answer", "Is that right?")
    page.tap("#list li:nth-child(2) button")
    shown(page, first)
    [(route, answer)] = held
    route.fulfill(response=answer)
    text(page, "#toast", "Taken back.")
    shown(page, first)
    assert page.is_visible("#newest")


def test_whoever_wants_to_see_the_newest_sees_it(open_page: Open, device: StandIn) -> None:
    unsure = device.hear(0.3, 0.4, 0.2, 0.1, unsure=True)
    device.hear(0.3, 0.4, 0.2, 0.1, unsure=True, kept=False)  # it takes no answer
    device.hear(0.7, 0.1, 0.1, 0.1)
    page = open_page()
    shown(page, unsure)
    page.tap("#newest")
    shown(page, device.hear(0.1, 0.1, 0.7, 0.1))
    newest = device.hear(0.1, 0.1, 0.1, 0.7)
    shown(page, newest)
    page.wait_for_selector("#card:not(.settling)")
    page.tap(row("sad"))
    text(page, "#answer", "You confirmed it.")
    device.hear(0.1, 0.1, 0.7, 0.1)
    shown(page, unsure)  # after an answer it asks again
    assert device.get(newest).label == "sad"


def test_it_says_what_unsure_means(open_page: Open, device: StandIn) -> None:
    device.facts["model"]["unsure"] = {"below": 0.5, "answers": None, "wrong": None}
    page = open_page()
    text(page, "#status", "conv · 4f1c9a4f")
    assert "unsure" not in page.inner_text("#status")
    device.facts["model"] = {
        **device.facts["model"],
        "unsure": {"below": 0.5, "answers": 1234, "wrong": 700},
    }
    told = "of 1,234 such answers to people it had not heard, 700 were wrong"
    text(page, "#status", f"unsure below 50%: {told}")
