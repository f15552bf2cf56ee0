"""The page of a real aggregator, which is killed while the page is open."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.aggregator.web.staged import MODEL, stage
from tests.brokers import free_port, wait_until
from tests.browser import text

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AGGREGATOR = Path(sys.executable).with_name("aggregator")


def start(folder: Path, page: int, broker: int, *more: str) -> "subprocess.Popen[bytes]":
    command: list[str | Path] = [
        *(AGGREGATOR, "serve", "--embedded-broker", "--port", str(broker)),
        *("--state", folder, "--web", f"127.0.0.1:{page}", "--metrics-devices"),
        *more,
    ]
    return subprocess.Popen(command, stderr=(folder.parent / "log").open("ab"))


def test_it_survives_the_aggregator_s_sudden_end_and_comes_back_by_itself(
    browser: "Browser", tmp_path: Path
) -> None:
    state, port, broker = tmp_path / "state", free_port(), free_port()
    token = state / "token"
    process = start(state, port, broker)
    try:
        wait_until(lambda: "The page: " in (tmp_path / "log").read_text(), "it serves its page")
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{port}/?token={token.read_text()}")
        text(page, "#waiting", "Round 1 waits for 2 clients, none is ready to train.")
        text(page, "#models", "First model")
        page.evaluate("() => { window.same = true; }")
        process.send_signal(signal.SIGKILL)
        process.wait()
        text(page, "#notice", "The connection to the aggregator is gone.")
        text(page, "#state", "No connection")
        assert "First model" in page.inner_text("#models"), "what it showed stays"
        process = start(state, port, broker)
        page.wait_for_selector("[data-state=waiting]")
        page.wait_for_selector("#notice", state="hidden")
        assert page.evaluate("() => window.same"), "it was not loaded anew"
        context.close()
    finally:
        process.terminate()
        process.wait()
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize("devices", [5, 500])
def test_it_goes_on_with_its_devices_when_the_aggregator_was_killed(
    browser: "Browser", tmp_path: Path, devices: int
) -> None:
    state, port, broker = tmp_path / "state", free_port(), free_port()
    stage(state, devices, 3)
    same = ("--model", MODEL, "--quorum", str(devices - 2), "--rounds", "100")
    process = start(state, port, broker, *same)
    try:
        wait_until(lambda: "The page: " in (tmp_path / "log").read_text(), "it serves its page")
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{port}/?token={(state / 'token').read_text()}")
        text(page, "#state", "Round 3 is open")
        text(page, "#devices-count", f"0 of {devices} online")
        process.send_signal(signal.SIGKILL)
        process.wait()
        text(page, "#state", "No connection")
        assert page.locator("#devices li").count() == devices, "what it showed stays"
        process = start(state, port, broker, *same)
        page.wait_for_selector("[data-state=open]")
        page.wait_for_selector("#notice", state="hidden")
        assert page.locator("#devices li").count() == devices
        page.close()
    finally:
        process.terminate()
        process.wait()
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
