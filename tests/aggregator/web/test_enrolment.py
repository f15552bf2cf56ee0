"""Inviting and revoking from the page, in real Chromium, with a real list of members."""

import io
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import segno
from PIL import Image

from aggregator.enrolment.invitations import invite
from aggregator.enrolment.members import Members
from shared.protocol.topics import Topics
from shared.trust.link import Link
from tests.aggregator.web.conftest import Serve, Served
from tests.aggregator.web.staged import enrol
from tests.aggregator.web.test_page import HOSTILE
from tests.browser import DESKTOP, PHONE, Open, legible, text
from tests.shared.web.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Route


@pytest.fixture
def members(serve_staged: Serve) -> Iterator[tuple[Served, Members]]:
    """Serve a federation of five by invitation; kitchen and desk have joined."""
    served = serve_staged(before=partial(enrol, names=("kitchen", "desk")), by_invitation=True)
    with Members(served.federation.folder.members) as kept:
        yield served, kept


def asked_for(page: Any, name: str) -> None:
    page.fill("#invite-name", name)
    page.press("#invite-name", "Enter")


def test_a_device_is_invited_once_it_was_agreed_to(
    open_page: Open,
    members: tuple[Served, Members],
    caplog: pytest.LogCaptureFixture,
    console_errors: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    served, kept = members
    page = open_page(served.server.address, **PHONE)
    asked_for(page, " Hall ")
    text(page, "#sure-title", "Invite hall?")
    page.tap("#no")
    assert not kept.invitations()
    asked_for(page, "hall")
    page.tap("#yes")
    text(page, "#link-title", "The link for hall")
    command = page.inner_text("#link")
    link = Link.of(command.removeprefix("edge-client join '").removesuffix("'"))
    assert (link.name, link.host, link.code) == (
        *("hall", "192.0.2.7"),
        kept.invitations()["hall"].code,
    )
    until = time.strftime("%Y", time.localtime(kept.invitations()["hall"].expires))
    assert until in page.inner_text("#link-text")
    size = page.get_attribute("#qr svg", "viewBox")
    assert size
    assert int(size.split()[-1]) > 40
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    page.tap("#link-close")
    page.wait_for_selector("#link:empty", state="attached")  # a dialog closes after the tap
    assert page.locator("#qr svg").count() == 0, "whoever has the link can join: it stays nowhere"
    hall = page.locator("#devices li", has_text="hall")
    text(page, "#devices", "invited: its link is good until")
    assert hall.locator("button").count() == 1
    assert "hall was invited from the page." in caplog.text
    assert command not in caplog.text
    assert console_errors == []


def test_a_link_is_good_as_long_and_leads_where_it_is_said(
    open_page: Open, members: tuple[Served, Members]
) -> None:
    served, kept = members
    page = open_page(served.server.address, **DESKTOP)
    page.fill("#invite-name", "hall")
    page.fill("#invite-hours", "0.5")
    page.press("#invite-hours", "Enter")
    assert page.evaluate("() => document.querySelector('#sure').open") is False, "an hour at least"
    page.fill("#invite-hours", "72")
    page.fill("#invite-address", "hub.local:8884")
    page.press("#invite-address", "Enter")
    page.click("#yes")
    text(page, "#link-title", "The link for hall")
    link = Link.of(page.inner_text("#link").removeprefix("edge-client join '").removesuffix("'"))
    assert (link.host, link.port) == ("hub.local", 8884)
    left = kept.invitations()["hall"].expires - kept.clock()
    assert 71 * 3600 < left <= 72 * 3600
    page.click("#link-close")
    assert page.input_value("#invite-name") == ""
    page.fill("#invite-address", "not an address")
    asked_for(page, "attic")
    page.click("#yes")
    text(page, "#notice", "There can be no broker there")


def test_the_code_on_the_page_is_that_of_the_link_black_on_white(
    open_page: Open, members: tuple[Served, Members]
) -> None:
    page = open_page(members[0].server.address, **DESKTOP, color_scheme="dark")
    asked_for(page, "hall")
    page.click("#yes")
    text(page, "#link-title", "The link for hall")
    link = page.inner_text("#link").removeprefix("edge-client join '").removesuffix("'")
    expected = [list(row) for row in segno.make_qr(link, error="l").matrix_iter(border=4)]
    drawn = Image.open(io.BytesIO(page.locator("#qr svg").screenshot())).convert("L")
    step = drawn.width / len(expected)
    middles = [int((place + 0.5) * step) for place in range(len(expected))]
    seen = [[drawn.getpixel((x, y)) for x in middles] for y in middles]
    assert [[light == 0 for light in row] for row in seen] == [
        [dark == 1 for dark in row] for row in expected
    ]


def test_what_is_typed_while_a_link_is_made_stays(
    open_page: Open, members: tuple[Served, Members]
) -> None:
    served, kept = members
    page = open_page(served.server.address, **DESKTOP)
    orders: list[Route] = []

    def hold(route: "Route") -> None:
        orders.append(route)

    page.route("**/do/invite", hold)
    asked_for(page, "hall")
    with page.expect_request("**/do/invite"):
        page.click("#yes")
    asked_for(page, "attic")
    assert not page.is_visible("#sure"), "one after the other"
    (first,) = orders
    first.continue_()
    text(page, "#link-title", "The link for hall")
    page.click("#link-close")
    assert page.input_value("#invite-name") == "attic"
    page.unroute("**/do/invite")
    page.press("#invite-name", "Enter")
    text(page, "#sure-title", "Invite attic?")
    assert kept.invitations().keys() == {"hall"}


def test_a_name_of_blanks_is_none(open_page: Open, members: tuple[Served, Members]) -> None:
    page = open_page(members[0].server.address, **DESKTOP)
    asked_for(page, "   ")
    assert not page.is_visible("#sure")
    assert page.evaluate("() => document.activeElement.validity.patternMismatch"), "it is said so"


def test_those_who_have_joined_and_were_not_seen_are_found_by_name(
    open_page: Open, serve_staged: Serve
) -> None:
    joined = [f"new-{number:02}" for number in range(40)]
    served = serve_staged(before=partial(enrol, names=joined), by_invitation=True)
    page = open_page(served.server.address, **PHONE)
    page.fill("#find-name", "new-1")
    assert page.locator("#devices li").count() == 10


def test_a_search_can_be_ended_also_once_few_are_left(open_page: Open, serve_staged: Serve) -> None:
    joined = [f"new-{number:02}" for number in range(4)]
    served = serve_staged(before=partial(enrol, names=joined), by_invitation=True)
    page = open_page(served.server.address, **DESKTOP)
    page.fill("#find-name", "new-01")
    page.click("#revoke-new-01")
    page.click("#yes")
    text(page, "#devices", "No device is called so.")
    page.fill("#find-name", "")
    assert page.locator("#devices li").count() == 8
    assert not page.is_visible("#find-name")


def test_a_name_that_is_known_is_invited_again(
    open_page: Open, members: tuple[Served, Members]
) -> None:
    served, kept = members
    page = open_page(served.server.address, **DESKTOP)
    text(page, "#devices", "key ")
    key = kept.joined()["kitchen"].key
    assert f"key {key.short}, joined on" in page.inner_text("#devices")
    page.fill("#invite-name", "kitchen")
    text(page, "#invite-hint", "kitchen has joined already.")
    page.click("#invite-send")
    text(page, "#sure-title", "Invite kitchen again?")
    page.click("#yes")
    text(page, "#link-title", "The link for kitchen")
    assert kept.joined()["kitchen"].key == key, "the old one is good until then"
    assert kept.invitations()["kitchen"].used_by is None


def test_a_device_is_revoked_once_it_was_agreed_to(
    open_page: Open, members: tuple[Served, Members], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    served, kept = members
    page = open_page(served.server.address, **DESKTOP)
    page.focus("#revoke-kitchen")
    page.keyboard.press("Enter")
    text(page, "#sure-title", "Revoke kitchen?")
    page.keyboard.press("Escape")
    assert "kitchen" in kept.joined()
    page.focus("#revoke-kitchen")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    text(page, "#notice", "kitchen is shut out.")
    page.wait_for_selector("#revoke-kitchen", state="detached")
    assert kept.joined().keys() == {"desk"}
    assert "not a member" in page.locator("#devices li", has_text="kitchen").inner_text()
    assert "kitchen was shut out from the page." in caplog.text


def test_an_invitation_is_taken_back_and_an_expired_one_is_called_so(
    open_page: Open, members: tuple[Served, Members]
) -> None:
    served, kept = members
    topics = Topics("chorus")
    invite(kept, topics, "hall", hours=-1)
    invite(kept, topics, "newcomer", hours=1)
    page = open_page(served.server.address, **DESKTOP)
    text(page, "#devices", "invited: its link has expired")
    page.click("#revoke-newcomer")
    text(page, "#sure-text", "Its invitation is good no more.")
    page.click("#yes")
    page.wait_for_selector("#revoke-newcomer", state="detached")
    assert kept.invitations().keys() == {"hall"}


def test_what_cannot_be_done_is_said_and_hostile_names_are_shown_as_they_are(
    open_page: Open, members: tuple[Served, Members], console_errors: list[str]
) -> None:
    served, kept = members
    served.federation.ledger.see(HOSTILE, present=True)
    served.federation.ledger.flush()
    page = open_page(served.server.address, **PHONE)
    text(page, "#devices", HOSTILE)
    assert page.locator("#devices img").count() == 0
    for name in ("<b>x</b>", "chorus-aggregator"):
        asked_for(page, name)
        text(page, "#sure-title", f"Invite {name}?")
        page.tap("#yes")
        text(page, "#notice", f"No device can be called '{name}'.")
    kept.note(accounts="plugin", plugin="no")
    asked_for(page, "hall")
    page.tap("#yes")
    text(page, "#notice", "The broker does not let the aggregator make accounts")
    assert page.locator("b b").count() == 0
    # A sentence in answer to an order is no fault of the page's.
    assert {each for each in console_errors if "409" not in each} == set()


def test_orders_are_checked(members: tuple[Served, Members]) -> None:
    served, kept = members
    client = Client(served.server)
    assert client.do("invite", name="hall", again=False).status == 401
    client.enter()
    hall: dict[str, Any] = {"name": "hall", "again": False}
    wrong: list[dict[str, Any]] = [
        *({}, {"name": 5, "again": False}, {"name": "x" * 65, "again": False}),
        *({**hall, "hours": hours} for hours in (0, -1, 1e9, "24", None)),
        *({**hall, "address": address} for address in ("x" * 301, 5, None)),
    ]
    for content in wrong:
        assert client.do("invite", **content).status == 400
    assert client.do("invite", name="kitchen", again=False).status == 409
    assert client.do("revoke", name="nobody").status == 409
    assert client.do("pause", paused="yes").status == 400
    assert client.do("invite", name="hall", again=False).status == 200
    assert client.do("revoke", name="hall").status == 200
    assert not kept.invitations()


def test_without_invitations_the_page_says_how_to_begin(open_page: Open, served: Served) -> None:
    page = open_page(served.server.address, **PHONE)
    text(page, "#not-by-invitation", "aggregator serve --by-invitation")
    assert not page.is_visible("#by-invitation")
    assert page.locator("#devices button").count() == 0
    client = Client(served.server).enter()
    assert client.do("invite", name="hall", again=False).status == 404


def test_nothing_is_wider_than_the_narrowest_window(open_page: Open, twelve: Served) -> None:
    page = open_page(twelve.server.address, viewport={"width": 320, "height": 640})
    wide = "() => document.documentElement.scrollWidth"
    text(page, "#devices", "key ")
    assert page.evaluate(wide) == 320
    asked_for(page, "hall")
    text(page, "#sure-title", "Invite hall?")
    assert page.evaluate(wide) == 320
    page.click("#yes")
    text(page, "#link-title", "The link for hall")
    assert page.evaluate(wide) == 320


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_link_is_legible_everywhere(
    open_page: Open, members: tuple[Served, Members], screen: dict[str, Any]
) -> None:
    page = open_page(members[0].server.address, **screen)
    text(page, "#devices", "key ")
    legible(page)
    asked_for(page, "hall")
    page.click("#yes")
    text(page, "#link-title", "The link for hall")
    legible(page)
