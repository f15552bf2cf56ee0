"""The page is drawn anew while somebody is about to do something there."""

from typing import TYPE_CHECKING

import pytest

from shared.errors import ChorusError
from shared.web.server import WebServer
from tests.browser import DESKTOP, PHONE, Open, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HAPPY, ANGRY = (0.14, 0.72, 0.11, 0.03), (0.7, 0.1, 0.1, 0.1)


def told(page: "Page", device: StandIn, accepted: int) -> None:
    """Let the device tell something, and wait until the page shows it."""
    device.facts["round"] = {"number": 3, "state": "training", "accepted": accepted}
    device.tell()
    text(page, "#status", f"updates accepted: {accepted}")


def test_it_stays_where_it_was_scrolled_to(open_page: Open, device: StandIn) -> None:
    for _ in range(12):
        device.hear(*HAPPY)
    page = open_page(**PHONE)
    told(page, device, 1)
    page.tap("#list li:nth-child(3) button")
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    before = page.evaluate("() => scrollY")
    told(page, device, 2)
    shown(page, 10)
    device.hear(*ANGRY)
    text(page, "#list li:first-child", "Angry")
    assert page.evaluate("() => scrollY") == pytest.approx(before, abs=80), "one more line, no jump"
    assert page.evaluate("() => document.activeElement.closest('li') !== null")


def test_keys_rest_as_taps_do_when_another_utterance_takes_the_place(
    open_page: Open, device: StandIn
) -> None:
    first = device.hear(*HAPPY)
    page = open_page(**DESKTOP)
    shown(page, first)
    for target in (row("sad"), "#discard"):
        page.focus(target)
        # Whatever the machine is busy with, the press comes in the moment of the change.
        page.evaluate(
            """() => new MutationObserver((_, observer) => {
                 if (!document.querySelector("#card").matches(".settling")) return;
                 observer.disconnect();
                 document.activeElement.click();
                 document.body.dataset.pressed = "yes";
               }).observe(document.querySelector("#card"), {attributes: true})"""
        )
        device.hear(*ANGRY)
        page.wait_for_selector("body[data-pressed]")
        page.wait_for_selector("#card:not(.settling)")
        page.evaluate("() => delete document.body.dataset.pressed")
    assert [(each.label, each.discarded) for each in device.recent(3)] == [(None, False)] * 3


def test_a_key_that_is_held_down_presses_once(open_page: Open, device: StandIn) -> None:
    for _ in range(4):
        device.hear(*HAPPY)
    page = open_page(**DESKTOP)
    page.focus("#discard")
    page.keyboard.down("Enter")
    shown(page, 3)
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    told(page, device, 1)
    assert len(device.recent(9)) == 3


def test_what_went_wrong_is_seen_where_it_was_ordered(
    open_page: Open, device: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ChorusError("The disk is full.", "Delete something.")

    monkeypatch.setattr(device, "delete_everything", refuse)
    for _ in range(12):
        device.hear(*HAPPY)
    page = open_page(**PHONE)
    page.tap("#delete")
    page.tap("#yes")
    text(page, "#notice", "The disk is full.")
    top, bottom = page.evaluate(
        "() => (({top, bottom}) => [top, bottom])(document.querySelector('#notice')"
        ".getBoundingClientRect())"
    )
    header = page.evaluate("() => document.querySelector('header').getBoundingClientRect().bottom")
    assert page.evaluate("() => scrollY") > 200
    assert header <= top + 1 < bottom < 640


def test_only_what_is_new_is_spoken(open_page: Open, device: StandIn) -> None:
    page = open_page(**DESKTOP)
    page.wait_for_selector("[data-state=listening]")
    for heard, said in ((ANGRY, "Heard: Angry, 70%."), (HAPPY, "Heard: Happy, 72%.")):
        device.hear(*heard)
        text(page, "#spoken", said)
    page.wait_for_selector("#card:not(.settling)")
    page.click("#discard")
    shown(page, 1)
    page.click("#undo")
    shown(page, 2)
    assert page.inner_text("#spoken") == "Heard: Happy, 72%."


def test_names_of_the_list_say_what_it_shows(open_page: Open, device: StandIn) -> None:
    number = device.hear(*HAPPY)
    page = open_page(**DESKTOP)
    shown(page, number)
    device.correct(number, "sad")
    page.wait_for_selector("#list button[aria-label='Sad, just now. You said so, not Happy.']")


def test_a_device_that_cannot_tell_its_state_is_not_an_empty_one(
    browser: "Browser", server: WebServer, device: StandIn
) -> None:
    device.broken = RuntimeError("so it is")
    page = browser.new_page()
    page.goto(server.address)
    text(page, "#notice", "could not tell its state")
    assert page.inner_text("#empty") == ""
    assert page.is_hidden("#guide")
    device.broken = None
    device.tell()
    text(page, "#empty", "Nothing heard yet.")
    page.close()


def test_a_discarded_sound_falls_silent(open_page: Open, device: StandIn) -> None:
    device.hear(*HAPPY)
    device.hear(*ANGRY, seconds=30)
    page = open_page(**DESKTOP)
    page.evaluate(
        """() => {
          const play = Audio.prototype.play;
          window.all = [];
          Audio.prototype.play = function () { all.push(this); return play.call(this); };
        }"""
    )
    page.click("#replay")
    page.wait_for_function("() => all.length === 1 && !all[0].paused")
    page.click("#discard")
    page.wait_for_function("() => all[0].paused")
    assert page.evaluate("() => all[0].currentTime") < 20, "it did not play to its end"


def test_the_focus_stays_on_the_card_when_a_button_is_hidden(
    open_page: Open, device: StandIn
) -> None:
    for _ in range(3):
        device.hear(*HAPPY)
    page = open_page(**DESKTOP)
    page.click("#list li:nth-child(2) button")
    page.focus("#newest")
    page.keyboard.press("Enter")
    page.wait_for_selector("#newest", state="hidden")
    assert page.evaluate("() => document.activeElement.id") == "card"
