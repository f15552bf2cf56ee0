"""Takes the pictures of docs/operator.md: `python -m tests.aggregator.web.pictures FOLDER`."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from aggregator.rounds.federation import Federation
from aggregator.server.screen import look
from aggregator.web.server import serve
from tests.aggregator.web.staged import NAMES, enrol, enter, settings_of, stage
from tests.browser import DESKTOP, PHONE, chromium


def take(folder: Path, *, everything: bool = False) -> None:
    """Take them: a desktop's and a phone's, light and dark; the whole page if asked to."""
    folder.mkdir(parents=True, exist_ok=True)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with tempfile.TemporaryDirectory() as state, chromium() as browser:
        stage(Path(state))
        with Federation(settings_of(Path(state), 5)) as federation:
            federation.rounds.start(time.monotonic())
            enter(federation)
            enrol(federation.folder, NAMES)
            server = serve(
                federation.folder,
                lambda: look(federation, time.monotonic()),
                federation,
                "127.0.0.1",
                0,
                by_invitation=True,
            )
            for scheme in schemes:
                for name, screen in (("phone", PHONE), ("desktop", DESKTOP)):
                    page = browser.new_page(**screen, color_scheme=scheme, device_scale_factor=1.5)
                    page.goto(server.address)
                    page.wait_for_selector("#devices li:nth-child(5)")
                    page.wait_for_selector("#charts svg")
                    file = folder / f"operator-{name}-{scheme}.png"
                    page.screenshot(path=file, animations="disabled", full_page=everything)
                    page.context.close()
            server.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), everything="--whole" in sys.argv)
