"""What is pressed while its list is drawn anew, in real Chromium."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.enrolment.invitations import invite
from aggregator.enrolment.members import Members
from shared.protocol.topics import Topics
from tests.aggregator.web.conftest import Served
from tests.browser import DESKTOP, PHONE, Open, text

if TYPE_CHECKING:
    from playwright.sync_api import Page

Release = Callable[[], object]


def arrive(page: "Page", served: Served) -> None:
    """Tell the page of two devices in turn, and of one above all others."""
    with closing(Members(served.federation.folder.members)) as members:
        invite(members, Topics("chorus"), "above", hours=1)
    for name, all_of_them in (("yves", 13), ("zoe", 14)):
        served.federation.ledger.see(name, present=False)
        served.federation.ledger.flush()
        text(page, "#devices-count", f"of {all_of_them} online")


def by_mouse(page: "Page") -> Release:
    page.hover("#revoke-kitchen")
    page.mouse.down()
    return page.mouse.up


def by_finger(page: "Page") -> Release:
    page.locator("#revoke-kitchen").scroll_into_view_if_needed()
    box = page.locator("#revoke-kitchen").bounding_box()
    assert box
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touch = partial(page.context.new_cdp_session(page).send, "Input.dispatchTouchEvent")
    touch({"type": "touchStart", "touchPoints": [point]})
    return lambda: touch({"type": "touchEnd", "touchPoints": []})


def by_space(page: "Page") -> Release:
    page.focus("#revoke-kitchen")
    page.keyboard.down("Space")
    return lambda: page.keyboard.up("Space")


@pytest.mark.parametrize(
    ("press", "screen"), [(by_mouse, DESKTOP), (by_finger, PHONE), (by_space, DESKTOP)]
)
def test_a_list_waits_for_the_end_of_a_press_and_shows_the_newest_then(
    open_page: Open,
    twelve: Served,
    press: Callable[["Page"], Release],
    screen: dict[str, Any],
) -> None:
    page = open_page(twelve.server.address, **screen)
    release = press(page)
    arrive(page, twelve)
    assert page.locator("#devices li").count() == 12
    release()
    text(page, "#sure-title", "Revoke kitchen?")
    page.click("#no")
    page.wait_for_function("() => document.querySelectorAll('#devices li').length === 15")
    assert page.locator("#devices li", has_text="zoe").count() == 1


def test_a_press_that_ends_elsewhere_does_nothing_and_lets_the_list_go_on(
    open_page: Open, twelve: Served
) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    release = by_mouse(page)
    arrive(page, twelve)
    page.hover("#devices-title")
    release()
    page.wait_for_function("() => document.querySelectorAll('#devices li').length === 15")
    assert not page.is_visible("#sure")


def test_no_other_list_waits(open_page: Open, twelve: Served) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    page.hover(f"#export-{twelve.federation.ledger.find(3).number}")
    page.mouse.down()
    arrive(page, twelve)
    assert page.locator("#devices li").count() == 15
    page.mouse.up()
    text(page, "#sure-title", "Export the model of round 3?")
