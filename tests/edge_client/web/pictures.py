"""Takes the pictures of docs/web.md: `python -m tests.edge_client.web.pictures FOLDER`."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from edge_client.device.lately import Week
from edge_client.web.server import serve
from tests.browser import PHONE, chromium
from tests.edge_client.web.stand_in import StandIn

HEARD = [
    ((0.08, 0.05, 0.26, 0.61), 63),
    ((0.02, 0.11, 0.79, 0.08), 41),
    ((0.71, 0.17, 0.08, 0.04), 24),
    ((0.06, 0.52, 0.38, 0.04), 11),
    ((0.22, 0.41, 0.32, 0.05), 5),
    ((0.14, 0.72, 0.11, 0.03), 0),
]
"""Probabilities, and minutes ago."""


def device() -> StandIn:
    """Make a device that has heard and been told something."""
    device = StandIn()
    for probabilities, minutes in HEARD:
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        device.hear(*probabilities, seconds=1.4 + minutes / 20, at=at)
    for identifier in (1, 3, 4):
        device.confirm(identifier)
    device.correct(2, "sad")
    monday = datetime.now(UTC).date()
    monday -= timedelta(days=monday.weekday())
    device.weeks = [
        Week(monday, 18, 15, current=True),
        Week(monday - timedelta(7), 31, 22, current=False),
    ]
    device.facts["training"] = {"examples": 4}
    device.facts["round"] = {"number": 12, "state": "waiting", "accepted": 3}
    return device


def take(folder: Path) -> None:
    """Take them: a phone's, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    server = serve(device(), port=0)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with chromium() as browser:
        for scheme in schemes:
            page = browser.new_page(**PHONE, color_scheme=scheme, device_scale_factor=1.5)
            with page.expect_response("**/shapes.svg"):
                page.goto(server.address)
            page.wait_for_selector("#list li:nth-child(6)")
            page.screenshot(
                path=folder / f"web-phone-{scheme}.png",
                animations="disabled",
                full_page="--whole" in sys.argv,
            )
            page.context.close()
    server.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
