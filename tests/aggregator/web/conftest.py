"""A staged federation, its page, and a browser that opens it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.ledger import Version
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.server.screen import look
from aggregator.web.server import serve
from shared.errors import FederationError
from shared.web.server import WebServer
from tests.aggregator.web.staged import enrol, enter, settings_of, stage
from tests.browser import Open, chromium, pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@dataclass
class Served:
    """A federation that is there, without a network, and its page."""

    federation: Federation
    server: WebServer = field(init=False)
    busy: bool = False

    def roll_back(self, number: int) -> Version:
        """Go back, as the service does it; or say that this is no moment for it."""
        if self.busy:
            raise FederationError("Round 12 is being written down.", "Try again in a moment.")
        version = self.federation.roll_back(number)
        self.federation.rounds.abandon()
        self.federation.rounds.end(time.monotonic())
        return version

    def pause(self, *, paused: bool) -> None:
        """Pause, as the service does it."""
        self.federation.pause(paused=paused)


Serve = Callable[..., Served]
"""Stages and serves a federation of so many devices."""


@pytest.fixture
def serve_staged(tmp_path: Path) -> Iterator[Serve]:
    begun: list[Served] = []

    def serve_staged(
        devices: int = 5,
        rounds: int = 12,
        before: Callable[[FederationFolder], object] = lambda _: None,
        **more: Any,
    ) -> Served:
        folder = tmp_path / "state"
        stage(folder, devices, rounds)
        federation = Federation(settings_of(folder, devices))
        federation.rounds.start(time.monotonic())
        enter(federation, devices)
        served = Served(federation)
        before(federation.folder)
        served.server = serve(
            federation.folder,
            lambda: look(federation, time.monotonic()),
            served,
            "127.0.0.1",
            0,
            **more,
        )
        begun.append(served)
        return served

    yield serve_staged
    for served in begun:
        served.server.close()
        served.federation.close()


@pytest.fixture
def served(serve_staged: Serve) -> Served:
    """Serve a federation of five."""
    return serve_staged()


@pytest.fixture
def twelve(serve_staged: Serve) -> Served:
    """Serve a federation of twelve by invitation; kitchen has joined."""
    return serve_staged(12, 4, before=partial(enrol, names=("kitchen",)), by_invitation=True)


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def console_errors() -> list[str]:
    """What the browser says in its console."""
    return []


@pytest.fixture
def open_page(browser: "Browser", console_errors: list[str]) -> Iterator[Open]:
    """Open a page; whatever the test does must not violate the page's policy."""
    with pages(browser, console_errors) as open_any:

        def open_page(address: str, **screen: Any) -> "Page":
            page = open_any(address, **screen)
            page.wait_for_selector("#devices li:not(.hint)")
            page.wait_for_selector("#refusals li")
            return page

        yield open_page
