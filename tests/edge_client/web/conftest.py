"""A page of a stand-in, served, and a browser that opens it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from edge_client.web.server import serve
from shared.task import DEFAULT_TASK, Task
from shared.web.server import WebServer
from tests.browser import Open, chromium, pages
from tests.edge_client.web.stand_in import StandIn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def task() -> Task:
    """What the device recognises; a test may ask for another."""
    return DEFAULT_TASK


@pytest.fixture
def device(task: Task) -> StandIn:
    return StandIn(task)


@pytest.fixture
def name() -> str:
    """What the device is called; a test may give it a name."""
    return ""


@pytest.fixture
def server(device: StandIn, name: str) -> Iterator[WebServer]:
    server = serve(device, port=0, name=name)
    yield server
    server.close()


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def console_errors() -> list[str]:
    """What the browser says in its console."""
    return []


@pytest.fixture
def open_page(browser: "Browser", server: WebServer, console_errors: list[str]) -> Iterator[Open]:
    """Open the page; whatever the test does must not violate the page's policy."""
    with pages(browser, console_errors) as open_any:

        def open_page(**screen: Any) -> "Page":
            page = open_any(server.address, **screen)
            page.wait_for_selector("[data-state=listening]")
            return page

        yield open_page
