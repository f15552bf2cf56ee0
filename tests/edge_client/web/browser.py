"""Chromium, for tests and pictures of the page."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 360, "height": 640},
    "has_touch": True,
    "is_mobile": True,
}
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}

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
            args=["--no-sandbox"],  # tests may run as root
        )
        yield browser
        browser.close()


def shown(page: "Page", identifier: int) -> None:
    """Wait until an utterance is on the card and can be answered."""
    page.wait_for_selector(f"#card[data-id='{identifier}']:not(.settling)")


def text(page: "Page", selector: str, expected: str) -> None:
    """Wait until a text is where it should be."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
        arg=[selector, expected],
    )


def row(label: str) -> str:
    """Name the button of a label."""
    return f"#rows button[data-label={label}]"
