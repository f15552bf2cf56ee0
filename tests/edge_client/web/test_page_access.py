"""Who reaches the page, in a real browser, and what it says when nobody does."""

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_client.web.server import serve
from shared.web.server import WebServer
from tests.browser import Open, text
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.stand_in import StandIn
from tests.shared.web.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_it_says_when_the_device_is_away_and_comes_back_by_itself(
    open_page: Open, device: StandIn, server: WebServer, console_errors: list[str]
) -> None:
    link = urlsplit(server.address)
    assert link.port
    port, token = link.port, link.query.removeprefix("token=")
    page = open_page()
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    server.close()
    page.wait_for_selector("[data-state=away]")
    text(page, "#notice", "The device is away.")
    page.tap(row("sad"))
    text(page, "#notice", "did not answer in time")
    again = serve(device, port=port, token=token)
    page.wait_for_selector("[data-state=listening]")
    page.wait_for_selector("#notice", state="hidden")
    again.close()
    page.wait_for_selector("[data-state=away]")
    with_another_token = serve(device, port=port)
    text(page, "#notice", "Open the link that it shows now.")
    with_another_token.close()
    assert all("ERR_" in text or "401" in text for text in console_errors)


def test_it_says_when_too_many_pages_are_open(
    open_page: Open, server: WebServer, device: StandIn
) -> None:
    page = open_page()
    shown(page, device.hear(0.14, 0.72, 0.11, 0.03))
    client = Client(server).enter()
    readers = [client.events() for _ in range(7)]
    another = page.context.new_page()
    another.goto(server.address)
    text(another, "#notice", "Too many pages")
    for reader in readers:
        reader.close()
    another.wait_for_selector("[data-state=listening]")


def test_another_site_can_neither_read_nor_order_nor_frame(
    browser: "Browser", server: WebServer, device: StandIn
) -> None:
    """By a page of another origin, in a browser that the device has let in."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<form method=post enctype=text/plain><input name='{}'></form>")

        def log_message(self, *_: object) -> None:
            pass

    evil = HTTPServer(("127.0.0.2", 0), Evil)
    threading.Thread(target=evil.serve_forever, args=(0.05,), daemon=True).start()
    number = device.hear(0.14, 0.72, 0.11, 0.03)
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.address)
    shown(page, number)
    ours = server.address.partition("/?")[0]
    page.goto(f"http://127.0.0.2:{evil.server_port}/")
    told = page.evaluate(
        """async (ours) => {
          const ask = (path, options) => fetch(ours + path, {credentials: "include", ...options})
            .then((answer) => `${answer.type} ${answer.status}`, () => "refused");
          return [
            await ask("/events"),
            await ask("/do/pause", {method: "POST", mode: "no-cors", body: "{}"}),
            await ask("/do/delete", {method: "POST", body: "{}",
                                     headers: {"Content-Type": "application/json"}}),
          ];
        }""",
        ours,
    )
    assert told[0] == "refused"
    assert told[2] == "refused"
    with page.expect_navigation():
        page.evaluate(
            "(ours) => { document.forms[0].action = ours + '/do/delete';"
            " document.forms[0].submit(); }",
            ours,
        )
    assert not device.paused
    assert device.recent(1)
    page.goto(f"http://127.0.0.2:{evil.server_port}/")
    page.evaluate(
        "(ours) => { const frame = document.createElement('iframe'); frame.src = ours + '/';"
        " document.body.append(frame); return new Promise((done) => { frame.onload = done; }); }",
        ours,
    )
    assert all("Chorus" not in frame.title() for frame in page.frames[1:])
    context.close()
    evil.shutdown()
    evil.server_close()


def test_a_wrong_token_is_refused_in_words(browser: "Browser", server: WebServer) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(server.address + "x")
    assert answer
    assert answer.status == 401
    assert "Open the link of your device" in page.inner_text("main")
    context.close()


def test_no_script_but_the_page_s_own_runs(open_page: Open, console_errors: list[str]) -> None:
    """And the tests above would see a violation of the policy."""
    page = open_page()
    page.evaluate(
        "() => { const script = document.createElement('script');"
        " script.textContent = 'window.hit = true'; document.body.append(script);"
        " const image = new Image(); image.src = 'http://127.0.0.3:9/x.png';"
        " document.body.append(image); }"
    )
    assert page.evaluate("() => window.hit") is None
    assert len([each for each in console_errors if "Content Security Policy" in each]) == 2
    console_errors.clear()
