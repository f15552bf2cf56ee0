"""Whether the page can be read and used by everyone, in real Chromium."""

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest

from shared.task import COLOURS, SHAPES, Task
from tests.browser import DESKTOP, PHONE, SCHEMES, Open, legible, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn
from tests.edge_client.web.tasks import task_of


def _count(task: Task) -> str:
    return f"{len(task.labels)} labels"


@pytest.mark.parametrize("task", [task_of(n) for n in (2, 4, 8, 20, 32)], ids=_count)
@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_is_legible_everywhere(
    open_page: Open,
    device: StandIn,
    console_errors: list[str],
    screen: dict[str, Any],
) -> None:
    rest = [0.28 / (len(device.task.labels) - 1)] * (len(device.task.labels) - 1)
    device.hear(0.72, *rest, at=datetime.now(UTC) - timedelta(hours=3), seconds=9.9)
    number = device.hear(*rest[:1], 0.72, *rest[1:])
    device.confirm(number)
    device.facts["problem"] = "The disk is full: free some space."
    page = open_page(**screen)
    shown(page, number)
    text(page, "#notice", "disk")
    legible(page, {"newest": 32, "keys-on": 0})  # the latter is for who has a keyboard
    assert page.evaluate(SQUEEZED) == []
    if (
        screen is PHONE and len(device.task.labels) <= FEW
    ):  # the answer can be given without scrolling
        assert page.locator("#actions").bounding_box()["y"] < 600  # type: ignore[index] # it is there
    assert console_errors == []


FEW = 8
"""Labels that can be answered on a phone without scrolling."""

SQUEEZED = """() => [...document.querySelectorAll("#rows .name, #counts span, #word, dd")]
  .filter((each) => {
    const {fontSize, display} = getComputedStyle(each);
    const wide = display !== "inline" && each.scrollWidth > each.clientWidth + 1;
    return wide || each.getBoundingClientRect().height > 8 * parseFloat(fontSize);
  }).map((each) => each.textContent)"""
"""Texts that do not fit where they stand, or stand a few letters a line."""


def test_the_keyboard_reaches_every_button_and_shows_where_it_is(
    open_page: Open, device: StandIn
) -> None:
    page = open_page(**DESKTOP)
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => [document.activeElement.id || document.activeElement.innerText,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if page.evaluate("() => document.activeElement.tagName") == "BUTTON":
            assert focused[1] == "solid"
            reached.add(focused[0].split("\n")[0])
    assert reached >= {"pause", "Angry", "Happy", "Neutral", "Sad", "replay", "discard", "undo"}
    assert "delete" in reached
    page.focus(row("neutral"))
    page.keyboard.press("Enter")
    text(page, "#answer", "You said so, not Happy.")
    assert page.evaluate("() => document.activeElement.dataset.label") == "neutral"


def test_every_colour_and_shape_of_a_label_is_there_and_can_be_told_from_the_ground(
    open_page: Open, device: StandIn
) -> None:
    """WCAG 2.2, 1.4.11: 3 to 1."""
    page = open_page(**PHONE)
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        contrasts = page.evaluate(GROUND_CONTRASTS, list(COLOURS))
        assert min(contrasts.values()) >= 3, contrasts
        assert len(set(page.evaluate(PAINTS, list(COLOURS)))) == len(COLOURS)
    drawn = (files("edge_client.web") / "static" / "shapes.svg").read_text()
    assert set(re.findall(r'symbol id="(\w+)"', drawn)) == {*SHAPES, "unknown"}


PAINTS = """(colours) => colours.map((colour) => {
  const svg = document.querySelector("#recognised svg");
  svg.dataset.colour = colour;
  return getComputedStyle(svg).color;
})"""
"""How each colour is painted."""

GROUND_CONTRASTS = """(colours) => {
  const light = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).map((value) => value / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const svg = document.querySelector("#recognised svg");
  const ground = light(getComputedStyle(document.querySelector("#card")).backgroundColor);
  return Object.fromEntries(colours.map((colour) => {
    svg.dataset.colour = colour;
    const paint = light(getComputedStyle(svg).color);
    return [colour, (Math.max(ground, paint) + 0.05) / (Math.min(ground, paint) + 0.05)];
  }));
}"""
"""The contrast of each colour with the card it stands on."""


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    folder = files("edge_client.web") / "static"
    common = files("shared.web") / "static"
    texts = json.loads((folder / "texts.json").read_text())
    scripts = [file for file in folder.iterdir() if file.name.endswith(".js")]
    source = "".join(
        file.read_text()
        for file in (
            folder / "page.html",
            *scripts,
            common / "refused.html",
            common / "listen.js",
            common / "pieces.js",
        )
    )
    python = "".join(
        file.read_text()
        for file in (files("edge_client.web") / "feed.py", files("shared.web") / "files.py")
    )
    for name in texts:
        assert re.search(rf"(\$|texts\.|\"){name}\b", source + python), name
    for name in re.findall(r"\btexts\.(\w+)|\$([a-z]\w+)", source):
        assert "".join(name) in {*texts, "json"}, name
