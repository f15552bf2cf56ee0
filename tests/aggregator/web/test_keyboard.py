"""Everything that the operator's page does, done by key presses alone."""

import re
from typing import TYPE_CHECKING

import pytest

from aggregator.enrolment.members import Members
from shared.trust.link import Link
from tests.aggregator.web.conftest import Served
from tests.browser import DESKTOP, Open, tab_to, text

if TYPE_CHECKING:
    from playwright.sync_api import Page


def agree(page: "Page") -> None:
    """Say yes to what is asked: nothing happens by a slip, as *no* has the focus."""
    assert page.evaluate("() => document.activeElement.id") == "no"
    tab_to(page, "#yes")
    page.keyboard.press("Enter")


def test_it_is_paused_and_goes_on_by_keys(open_page: Open, twelve: Served) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    tab_to(page, "#pause")
    page.keyboard.press("Space")
    agree(page)
    text(page, "#pause", "Go on")
    assert twelve.federation.rounds.paused
    assert page.evaluate("() => document.activeElement.id") == "pause", "one may go on there"
    page.keyboard.press("Enter")
    agree(page)
    text(page, "#pause", "Pause")
    assert not twelve.federation.rounds.paused
    tab_to(page, "#awaited summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("#awaited p", state="hidden")


def test_a_device_is_invited_and_another_shut_out_by_keys(open_page: Open, twelve: Served) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    keyboard = page.keyboard
    tab_to(page, "#invite-name")
    keyboard.type("pantry")
    keyboard.press("Tab")
    keyboard.press("Control+a")
    keyboard.type("72")
    keyboard.press("Tab")
    keyboard.type("hub.local:8884")
    keyboard.press("Enter")
    agree(page)
    text(page, "#link-title", "The link for pantry")
    link = Link.of(page.inner_text("#link").removeprefix("edge-client join '").removesuffix("'"))
    assert (link.host, link.port) == ("hub.local", 8884)
    tab_to(page, "#link")
    tab_to(page, "#link-close")
    keyboard.press("Enter")
    page.wait_for_selector("#link:empty", state="attached")

    assert page.evaluate("() => document.activeElement.id") == "invite-address"
    keyboard.press("Shift+Tab")
    keyboard.press("Shift+Tab")
    keyboard.type("porch")
    tab_to(page, "#invite-send")
    keyboard.press("Enter")
    agree(page)
    text(page, "#link-title", "The link for porch")
    tab_to(page, "#link-close")
    keyboard.press("Enter")
    page.wait_for_selector("#link:empty", state="attached")
    assert page.evaluate("() => document.activeElement.id") == "invite-send"

    tab_to(page, "#find-name")
    keyboard.type("KIT")
    page.wait_for_function("() => document.querySelectorAll('#devices li').length === 1")
    tab_to(page, "#revoke-kitchen")
    keyboard.press("Enter")
    keyboard.press("Escape")
    page.wait_for_selector("#sure", state="hidden")
    with Members(twelve.federation.folder.members) as members:
        assert members.joined()
        keyboard.press("Enter")
        agree(page)
        text(page, "#notice", "kitchen is shut out.")
        assert not members.joined()
    page.wait_for_selector("#revoke-kitchen", state="detached")
    assert page.evaluate("() => document.activeElement.id") == "devices", "its button is no more"


@pytest.mark.parametrize("answer", ["Escape", "Enter"], ids=["Escape", "no"])
def test_a_list_drawn_anew_behind_a_question_leaves_the_focus_where_it_was(
    open_page: Open, twelve: Served, answer: str
) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    tab_to(page, "#revoke-kitchen")
    page.keyboard.press("Enter")
    page.evaluate("() => document.querySelector('#find-name').dispatchEvent(new Event('input'))")
    page.keyboard.press(answer)
    page.wait_for_selector("#sure", state="hidden")
    assert page.evaluate("() => document.activeElement.id") == "revoke-kitchen"


def test_devices_are_ordered_and_models_saved_and_gone_back_to_by_keys(
    open_page: Open, twelve: Served
) -> None:
    page = open_page(twelve.server.address, accept_downloads=True, **DESKTOP)
    keyboard, ledger = page.keyboard, twelve.federation.ledger
    tab_to(page, "#sort")
    keyboard.press("ArrowDown")
    page.wait_for_function("() => document.querySelector('#sort').value === 'away'")
    text(page, "#devices li:first-child", "pi-011")
    tab_to(page, "#devices")
    keyboard.press("End")
    page.wait_for_function("() => document.querySelector('#devices').scrollTop > 0")
    tab_to(page, f"#export-{ledger.find(3).number}")
    keyboard.press("Enter")
    with page.expect_download() as download:
        agree(page)
    assert download.value.suggested_filename == "chorus-round-3.safetensors"
    tab_to(page, f"#rollback-{ledger.find(2).number}")
    keyboard.press("Enter")
    agree(page)
    text(page, "#notice", "The model of round 2 is the current one again.")
    assert twelve.federation.current.digest == ledger.find(2).digest


def test_a_dialog_keeps_the_focus_until_it_is_answered(open_page: Open, twelve: Served) -> None:
    page = open_page(twelve.server.address, **DESKTOP)
    tab_to(page, "#pause")
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Tab")
        assert re.fullmatch("no|yes|", page.evaluate("() => document.activeElement.id"))
