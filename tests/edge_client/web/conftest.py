"""A page of a stand-in, served, and a browser that opens it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from edge_client.web.server import serve
from shared.task import DEFAULT_TASK, Task
from shared.web.server import WebServer
from tests.browser import PHONE, Open, chromium
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
def server(device: StandIn) -> Iterator[WebServer]:
    server = serve(device, port=0)
    yield server
    server.close()


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser says in its console."""
    return []


@pytest.fixture
def open_page(browser: "Browser", server: WebServer, complaints: list[str]) -> Iterator[Open]:
    """Open the page; whatever the test does must not violate the page's policy."""
    contexts = []

    def open_page(**screen: Any) -> "Page":
        context = browser.new_context(**(screen or PHONE))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.address)
        page.wait_for_selector("[data-state=listening]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not [complaint for complaint in complaints if "Content Security Policy" in complaint]
