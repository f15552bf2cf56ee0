"""Where things are on the device's page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def shown(page: "Page", identifier: int) -> None:
    """Wait until an utterance is on the card and can be answered."""
    page.wait_for_selector(f"#card[data-id='{identifier}']:not(.settling)")


def row(label: str) -> str:
    """Name the button of a label."""
    return f"#rows button[data-label={label}]"
