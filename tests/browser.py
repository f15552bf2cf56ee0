"""Chromium, for tests and pictures of pages."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 360, "height": 640},
    "has_touch": True,
    "is_mobile": True,
}
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}

UNUSED: Final = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
"""What the line for addresses would show, each in a process that a new window starts: with both,
a page costs four times as much."""

STOPS: Final = 120
"""More than a page of a test has places where Tab stops."""

Open = Callable[..., "Page"]
"""Opens the page, on a phone unless told otherwise."""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Start it, or skip the test."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
    program = os.environ.get("CHORUS_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium: apt install chromium, or name it with CHORUS_CHROMIUM")
    with playwright.sync_playwright() as starter:
        browser = starter.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",  # tests may run as root
                f"--disable-features={','.join(UNUSED)}",
            ],
        )
        yield browser
        browser.close()


@contextmanager
def pages(browser: "Browser", console_errors: list[str]) -> Iterator[Open]:
    """Open pages by their addresses; whatever is done there must not violate their policy.

    Parameters
    ----------
    browser
        The browser.
    console_errors
        Grows with what the browser says in its console.
    """
    contexts = []

    def open_page(address: str, **screen: Any) -> "Page":
        context = browser.new_context(**(screen or PHONE))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: console_errors.append(message.text))
        page.on("pageerror", lambda error: console_errors.append(str(error)))
        page.on("request", lambda request: _say(f"{request.method} {request.url}"))
        page.on("requestfailed", lambda request: _say(f"{request.url} failed: {request.failure}"))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [error for error in console_errors if "Content Security Policy" in error]


def _say(line: str) -> None:
    """Write what pytest shows of a test that failed."""
    sys.stdout.write(f"{line}\n")


def text(page: "Page", selector: str, expected: str) -> None:
    """Wait until a text is where it should be."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
        arg=[selector, expected],
    )


def tab_to(page: "Page", selector: str) -> None:
    """Press Tab until something has the focus: by keys alone, once around the page at most."""
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}.")


def legible(page: "Page", lower: Mapping[str, int] | None = None) -> None:
    """Look that nothing must be scrolled sideways, fingers hit buttons, and texts have contrast.

    Light and dark, one after the other: a page of its own for each would cost as much again.

    Parameters
    ----------
    page
        The page.
    lower
        What need not be as high as a finger is thick: how high it must be, by its name.
    """
    assert page.viewport_size
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], scheme
        assert page.evaluate(LOW, lower or {}) == [], scheme
        assert page.evaluate(CONTRASTS) == [], scheme


SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")

LOW = """(lower) => {
  const seen = [...document.querySelectorAll("button, input, select")]
    .filter((each) => each.checkVisibility({visibilityProperty: true}));
  if (!seen.length) return ["nothing can be pressed"];
  return seen.filter((each) => !(each.getBoundingClientRect().height >= (lower[each.id] ?? 44)))
    .map((each) => each.id || each.textContent);
}"""
"""What can be pressed, but not hit by every finger."""

CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const found = new Map();
  const light = (color, below) => {
    const key = `${color} on ${below}`;
    if (!found.has(key)) found.set(key, measured(color, below));
    return found.get(key);
  };
  const measured = (color, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    const none = colour === "rgba(0, 0, 0, 0)" && element.parentElement;
    return none ? ground(element.parentElement) : colour;
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const text = getComputedStyle(element).color;
    const one = light(text, "white");
    const grounds = [ground(element)];
    const bar = element.closest("#rows button")?.querySelector("i");
    if (bar && element.tagName !== "KBD")
      grounds.push([ground(element), getComputedStyle(bar).backgroundColor]);
    for (const each of grounds) {
      const other = Array.isArray(each) ? light(each[1], each[0]) : light(each, "white");
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (contrast < 4.5) bad.push(`${element.textContent.trim()}: ${contrast.toFixed(2)}`);
    }
  }
  return bad;
}"""
"""Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3)."""
