"""Everything that the device's page does, done by Tab, Enter and Space alone."""

from tests.browser import DESKTOP, Open, tab_to, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn


def test_utterances_are_answered_by_keys(open_page: Open, device: StandIn) -> None:
    page = open_page(**DESKTOP)
    keyboard = page.keyboard
    first = device.hear(0.14, 0.72, 0.11, 0.03)
    second = device.hear(0.7, 0.1, 0.1, 0.1, seconds=30)
    shown(page, second)
    tab_to(page, "#keys-on")  # single letters do nothing from now on
    keyboard.press("Space")
    keyboard.press("s")
    tab_to(page, row("neutral"))
    keyboard.press("Enter")
    text(page, "#answer", "You said so, not Angry.")
    tab_to(page, row("angry"))
    keyboard.press("Space")
    text(page, "#answer", "You confirmed it.")
    assert [each.label for each in device.recent(2)] == ["angry", None]
    tab_to(page, "#replay")
    keyboard.press("Enter")
    text(page, "#replay", "Stop")
    keyboard.press("Enter")
    text(page, "#replay", "Replay")
    tab_to(page, "#discard")
    keyboard.press("Enter")
    shown(page, first)
    assert device.get(second).discarded
    tab_to(page, "#undo")
    keyboard.press("Enter")
    shown(page, second)
    keyboard.press("Enter")
    text(page, "#answer", "You said so, not Angry.")
    tab_to(page, "#list li:nth-child(2) button")
    keyboard.press("Enter")
    shown(page, first)
    tab_to(page, "#newest")
    keyboard.press("Enter")
    shown(page, second)


def test_it_is_paused_and_emptied_by_keys(open_page: Open, device: StandIn) -> None:
    page = open_page(**DESKTOP)
    keyboard = page.keyboard
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    tab_to(page, "#pause")
    keyboard.press("Enter")
    page.wait_for_selector("[data-state=paused]")
    assert device.paused
    keyboard.press("Enter")
    page.wait_for_selector("[data-state=listening]")
    tab_to(page, "#delete")
    keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "no", "nothing by a slip"
    keyboard.press("Enter")
    page.wait_for_selector("#sure", state="hidden")
    assert device.recent(1)
    assert page.evaluate("() => document.activeElement.id") == "delete"
    keyboard.press("Enter")
    tab_to(page, "#yes")
    keyboard.press("Enter")
    text(page, "#toast", "Everything was deleted.")
    assert device.recent(1) == []
