"""The page in real Chromium."""

import re
from importlib.resources import files

import pytest

from edge_client.web.feed import PAGE_KEYS
from shared.task import DEFAULT_TASK
from shared.web.server import WebServer
from tests.browser import DESKTOP, Open, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn
from tests.edge_client.web.tasks import EIGHT


def test_an_utterance_arrives_and_says_what_to_do(open_page: Open, device: StandIn) -> None:
    page = open_page()
    text(page, "#empty", "Nothing heard yet")
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    assert page.inner_text("#word") == "Happy"
    assert page.inner_text("#recognised small") == "72%"
    assert page.inner_text("#answer") == "Is that right? Tap what it was."
    assert page.locator("#rows .share").all_inner_texts() == ["14%", "72%", "11%", "3%"]
    shown(page, device.hear(0.7, 0.1, 0.1, 0.1))
    assert page.title() == "Angry · Chorus"
    text(page, "#spoken", "Heard: Angry, 70%.")
    assert page.locator("#list li").count() == 2
    assert "token" not in page.url


def test_taps_confirm_and_correct_and_undo(open_page: Open, device: StandIn) -> None:
    page = open_page()
    number = device.hear(0.14, 0.72, 0.11, 0.03)
    shown(page, number)
    page.tap(row("happy"))
    text(page, "#answer", "You confirmed it.")
    assert device.get(number).label == "happy"
    text(page, "#counts li:nth-child(2)", "1")
    page.tap(row("sad"))
    text(page, "#answer", "You said so, not Happy.")
    assert page.inner_text("#word") == "Sad"
    assert device.get(number).label == "sad"
    page.tap("#undo")
    text(page, "#answer", "You confirmed it.")
    page.tap("#undo")
    text(page, "#answer", "Is that right?")
    assert device.get(number).label is None
    page.tap("#undo")
    text(page, "#notice", "There is nothing to undo.")


def test_keys_do_everything(open_page: Open, device: StandIn) -> None:
    page = open_page(**DESKTOP)
    first = device.hear(0.14, 0.72, 0.11, 0.03)
    second = device.hear(0.7, 0.1, 0.1, 0.1)
    shown(page, second)
    page.keyboard.press("y")
    text(page, "#answer", "You confirmed it.")
    page.keyboard.press("j")
    shown(page, first)
    page.keyboard.press("s")
    text(page, "#answer", "You said so, not Happy.")
    assert [device.get(number).label for number in (first, second)] == ["sad", "angry"]
    page.keyboard.press("x")
    shown(page, second)
    assert device.get(first).discarded
    page.keyboard.press("u")
    shown(page, first)  # what was taken back is shown
    page.keyboard.press("n")
    shown(page, second)
    page.keyboard.press("p")
    page.wait_for_selector("[data-state=paused]")
    assert device.paused
    page.keyboard.press("p")
    page.wait_for_selector("[data-state=listening]")
    page.keyboard.press("Alt+x")  # the browser's
    page.keyboard.press("e")
    text(page, "#answer", "You said so, not Angry.")
    assert not device.get(second).discarded


@pytest.mark.parametrize("task", [EIGHT], ids=["eight"])
def test_eight_labels_take_taps_and_keys(open_page: Open, device: StandIn) -> None:
    page = open_page()
    number = device.hear(0.02, 0.3, 0.03, 0.05, 0.1, 0.4, 0.04, 0.06)
    shown(page, number)
    assert page.inner_text("#word") == "Disgusted"
    assert page.locator("#rows .name").all_inner_texts() == [each.word for each in EIGHT.labels]
    assert page.locator("#rows .share").all_inner_texts()[4:6] == ["10%", "40%"]
    hrefs = page.locator("#rows use").evaluate_all("(all) => all.map((u) => u.href.baseVal)")
    assert hrefs == [f"shapes.svg#{each.shape}" for each in EIGHT.labels]
    for each in EIGHT.labels:
        page.tap(row(each.name))
        page.wait_for_selector(f"{row(each.name)}[aria-pressed=true]")
        assert device.get(number).label == each.name
    text(page, "#counts li:last-child", "1")
    keys = page.locator("#rows button").evaluate_all("(all) => all.map((b) => b.ariaKeyShortcuts)")
    assert keys == list("AHESFDIC")
    for key, each in zip(keys, EIGHT.labels, strict=True):
        page.keyboard.press(key.lower())
        page.wait_for_selector(f"{row(each.name)}[aria-pressed=true]")
        assert device.get(number).label == each.name


def test_labels_that_the_device_no_longer_has_are_shown_by_their_names(
    open_page: Open, device: StandIn
) -> None:
    page = open_page()
    number = device.hear(0.14, 0.72, 0.11, 0.03)
    device.task = EIGHT
    device.correct(number, "calm")
    device.task = DEFAULT_TASK
    device.tell()
    shown(page, number)
    text(page, "#word", "calm")
    assert page.locator("#rows [aria-pressed=true]").count() == 0
    page.tap(row("sad"))
    text(page, "#answer", "You said so, not Happy.")


def test_the_device_knows_which_keys_the_page_has_taken() -> None:
    source = (files("edge_client.web") / "static" / "page.js").read_text("utf-8")
    taken = re.findall(
        r"[{,] (\w):", "".join(re.findall(r"(?:answers|const keys) = (\{.*)", source))
    )
    assert sorted(taken) == sorted(PAGE_KEYS)


def test_single_keys_can_be_switched_off(open_page: Open, device: StandIn) -> None:
    """WCAG 2.2, 2.1.4."""
    page = open_page()  # as a phone may have a keyboard, or be spoken to
    number = device.hear(0.14, 0.72, 0.11, 0.03)
    shown(page, number)
    page.tap("#keys summary")
    page.tap("#keys-on")
    page.wait_for_selector("#keys-on:not(:checked)")  # what a tap does may come after it
    for key in "ysxup":
        page.keyboard.press(key)
    page.reload()
    shown(page, number)
    page.keyboard.press("s")
    page.tap(row("happy"))
    text(page, "#answer", "You confirmed it.")
    assert not device.paused
    page.tap("#keys summary")
    page.tap("#keys-on")
    page.wait_for_selector("#keys-on:checked")
    page.keyboard.press("s")
    text(page, "#answer", "You said so, not Happy.")


def test_what_could_not_be_kept_is_shown_and_takes_no_answer(
    open_page: Open, device: StandIn
) -> None:
    page = open_page(**DESKTOP)
    first = device.hear(0.14, 0.72, 0.11, 0.03)
    shown(page, first)
    for _ in range(2):
        number = device.hear(0.7, 0.1, 0.1, 0.1, kept=False, sound=False)
        shown(page, number)
    assert page.inner_text("#word") == "Angry"
    assert page.inner_text("#answer") == "It could not be kept, and takes no answer."
    assert page.locator("#list li").count() == 3
    assert page.is_disabled(row("angry"))
    assert page.is_disabled("#discard")
    for key in "ayx":
        page.keyboard.press(key)
    page.keyboard.press("j")
    shown(page, -2)
    page.keyboard.press("j")
    shown(page, first)
    page.click(row("happy"))
    text(page, "#answer", "You confirmed it.")
    assert [each.label for each in device.recent(3)] == [None, None, "happy"]


def test_silence_and_an_error_together_open_one_new_connection(
    open_page: Open, server: WebServer
) -> None:
    page = open_page()
    page.goto(server.address.partition("?")[0] + "page.css")  # of the same site, without a script
    page.clock.install()
    page.evaluate(
        "() => { window.opened = []; window.EventSource = class extends EventTarget {"
        "  constructor() { super(); this.open = true; opened.push(this); }"
        "  close() { this.open = false; } };"
        " window.fetch = () => new Promise((resolve) => { window.answer = resolve; }); }"
    )
    page.evaluate("async () => (await import('./listen.js')).listen({}, () => {})")
    page.evaluate("() => { opened[0].dispatchEvent(new Event('error')); }")
    page.clock.run_for(13_000)  # silence is noticed before it is known why
    page.evaluate("() => answer({status: 503})")
    page.clock.run_for(5_000)
    assert page.evaluate("() => opened.map(({open}) => open)") == [False, True]


def test_an_arrival_does_not_take_the_place_of_what_is_looked_at(
    open_page: Open, device: StandIn
) -> None:
    page = open_page()
    first = device.hear(0.14, 0.72, 0.11, 0.03)
    shown(page, device.hear(0.7, 0.1, 0.1, 0.1))
    page.tap("#list li:nth-child(2) button")
    shown(page, first)
    newest = device.hear(0.1, 0.1, 0.1, 0.7)
    text(page, "#newest", "New: Sad")
    shown(page, first)
    page.tap("#newest")
    shown(page, newest)
    shown(page, device.hear(0.1, 0.1, 0.7, 0.1))  # it follows again


def test_a_tap_just_at_an_arrival_does_nothing(open_page: Open, device: StandIn) -> None:
    """It was meant for the utterance before."""
    page = open_page()
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    spot = page.locator(row("sad")).bounding_box()
    assert spot
    page.evaluate(
        "() => new MutationObserver((_, observer) => { observer.disconnect();"
        " window.hit = document.elementFromPoint(100, 300).closest('#card') !== null;"
        " document.dispatchEvent(new KeyboardEvent('keydown', {key: 's'})); })"
        ".observe(document.querySelector('#card'), {attributeFilter: ['class']})"
    )
    number = device.hear(0.7, 0.1, 0.1, 0.1)
    shown(page, number)
    assert page.evaluate("() => window.hit") is False
    page.tap(row("angry"))
    text(page, "#answer", "You confirmed it.")
    assert device.get(number).label == "angry"


def test_replay_plays_while_the_sound_is_there(open_page: Open, device: StandIn) -> None:
    page = open_page()
    page.evaluate(
        "() => { window.played = [];"
        " const play = Audio.prototype.play;"
        " Audio.prototype.play = function () { this.addEventListener('ended',"
        " () => played.push(this.duration)); return play.call(this); }; }"
    )
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03, seconds=0.5))
    page.tap("#replay")
    page.wait_for_function("() => played.length === 1")
    assert page.evaluate("() => played") == [0.5]
    text(page, "#replay", "Replay")
    long = device.hear(0.14, 0.72, 0.11, 0.03, seconds=30)
    shown(page, long)
    page.tap("#replay")
    text(page, "#replay", "Stop")
    page.tap("#replay")
    text(page, "#replay", "Replay")
    device.forget_sounds()  # the page does not know yet
    page.tap("#replay")
    text(page, "#notice", "no longer in the device's memory")
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03, sound=False))
    assert page.is_disabled("#replay")


def test_pause_stops_the_device(open_page: Open, device: StandIn) -> None:
    page = open_page()
    page.tap("#pause")
    text(page, "#state", "Paused, microphone off")
    assert device.paused
    text(page, "#pause", "Resume")
    text(page, "#empty", "Nothing is heard while it is paused.")
    page.tap("#pause")
    text(page, "#state", "Listening")
    assert not device.paused
    device.pause()  # by the terminal
    text(page, "#state", "Paused")


def test_discarding_can_be_undone_even_if_nothing_is_left(open_page: Open, device: StandIn) -> None:
    page = open_page()
    number = device.hear(0.14, 0.72, 0.11, 0.03)
    shown(page, number)
    page.tap("#discard")
    page.wait_for_selector("#empty:visible")
    page.tap("#toast button")
    shown(page, number)


def test_deleting_everything_asks_first(open_page: Open, device: StandIn) -> None:
    page = open_page()
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    page.tap("#delete")
    page.wait_for_selector("#sure:visible")
    assert page.evaluate("() => document.activeElement.id") == "no"
    page.keyboard.press("s")  # no key answers what is behind
    page.tap("#no")
    page.wait_for_selector("#sure", state="hidden")
    assert [each.label for each in device.recent(1)] == [None]
    page.tap("#delete")
    page.tap("#yes")
    page.wait_for_selector("#empty:visible")
    text(page, "#toast", "Everything was deleted.")
    assert page.is_hidden("#toast button")
    assert device.recent(1) == []


def test_without_a_model_it_still_asks(open_page: Open, device: StandIn) -> None:
    page = open_page()
    device.facts["model"] = None
    number = device.hear()
    shown(page, number)
    assert page.inner_text("#word") == "No model yet"
    assert page.inner_text("#answer") == "What was it? Tap it."
    page.keyboard.press("y")  # there is nothing to confirm
    page.tap(row("sad"))
    text(page, "#answer", "You said so.")
    assert device.get(number).label == "sad"
    text(page, "#status", "none yet")
