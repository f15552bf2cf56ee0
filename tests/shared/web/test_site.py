import logging
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.web.policy import HEADERS
from tests.shared.web.client import Client
from tests.shared.web.conftest import ServePage


def sent(client: Client, request: bytes) -> list[bytes]:
    """Send what no browser sends; give the lines of the answer's head."""
    with client.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read().partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.fixture
def quiet(serve_page: ServePage, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged, whatever happens."""
    del serve_page  # Its pages are closed only after this.
    yield
    assert [
        record for record in caplog.get_records("call") if record.levelno >= logging.WARNING
    ] == []


ODD = {
    "GET http://[x/ HTTP/1.1|Host: 127.0.0.1": 400,
    "GET http://127.0.0.1/ HTTP/1.1|Host: 127.0.0.1": 400,
    "GET [x HTTP/1.1|Host: 127.0.0.1": 400,
    "GET / HTTP/1.1|Host: [x": 421,
    "GET / HTTP/1.1": 421,
    "GET / HTTP/1.0": 421,
    "GET / HTTP/1.1|Host: 127.0.0.1|Host: 127.0.0.1": 400,
    "GET / HTTP/1.1|Host: 127.0.0.1|no header": 400,
    "GET / HTTP/1.1|Host: 127.0.0.1|Cookie: \xff\xfe=": 401,
    "GET / HTTP/1.1|Host: 127.0.0.1|Connection: Upgrade|Upgrade: websocket": 401,
    "GET / HTTP/1.1|Host: 127.0.0.1|Content-Length: x": 401,
    "GET /?token=\xff HTTP/1.1|Host: 127.0.0.1": 400,
    "GET /%00%ff%2e%2e/?token=%ff&token HTTP/1.1|Host: 127.0.0.1": 401,
    "GET //[x HTTP/1.1|Host: 127.0.0.1": 401,
    "GET /": 400,
    "": 400,
    "\x16\x03\x01\x02\x00\x01": 400,
    "PRI * HTTP/2.0": 501,
    "OPTIONS * HTTP/1.1|Host: 127.0.0.1": 501,
    "CONNECT 127.0.0.1:1 HTTP/1.1|Host: 127.0.0.1": 501,
    "HEAD / HTTP/1.1|Host: 127.0.0.1": 501,
    "POST / HTTP/1.1|Host: 127.0.0.1|Transfer-Encoding: gzip": 400,
    "POST / HTTP/1.1|Host: 127.0.0.1|Transfer-Encoding: chunked": 401,
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("head", "status"), ODD.items())
def test_whatever_a_stranger_sends_ends_with_a_status(
    serve_page: ServePage, head: str, status: int
) -> None:
    client = Client(serve_page().server)
    line, *headers = sent(client, head.replace("|", "\r\n").encode("latin-1") + b"\r\n\r\n")
    assert line.startswith(b"HTTP/1.1 %d " % status)
    for name, value in HEADERS.items():
        assert f"{name}: {value}".lower().encode() in [header.lower() for header in headers]


@pytest.mark.usefixtures("quiet")
def test_noise_ends_with_a_status(serve_page: ServePage) -> None:
    client = Client(serve_page().server)

    @given(st.binary(max_size=300))
    def is_refused(noise: bytes) -> None:
        line, *_ = sent(client, noise + b"\r\n\r\n")
        assert line.startswith(b"HTTP/1.1 400 ")

    is_refused()


ODD_BODIES = {
    "Content-Length: 3||abc": 200,
    "Content-Length: 3||abcde": 200,
    "Content-Length: 1e3||abc": 411,
    "Content-Length: +3||abc": 411,
    "Transfer-Encoding: chunked||3|abc|0|": 411,
    "Transfer-Encoding: chunked||zz|abc": 400,
    "Content-Length: 5000||abc": 413,
}


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("rest", "status"), ODD_BODIES.items())
def test_a_body_is_read_within_its_bound(serve_page: ServePage, rest: str, status: int) -> None:
    client = Client(serve_page().server).enter()
    head = (
        f"POST /do/echo HTTP/1.1|Host: {client.host}|Origin: http://{client.host}"
        f"|Cookie: {client.cookie}|{rest}"
    )
    line, *_ = sent(client, head.replace("|", "\r\n").encode())
    assert line.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.usefixtures("quiet")
def test_a_browser_that_leaves_in_the_middle_is_no_fault(serve_page: ServePage) -> None:
    page = serve_page()
    client = Client(page.server).enter()
    with client.connect() as connection:
        head = (
            f"POST /do/echo HTTP/1.1\r\nHost: {client.host}\r\nOrigin: http://{client.host}\r\n"
            f"Cookie: {client.cookie}\r\nContent-Length: 9\r\n\r\nabc"
        )
        connection.sendall(head.encode())
    page.server.close()


def test_a_fault_of_a_route_is_logged_once_and_ends_nothing_else(
    serve_page: ServePage, caplog: pytest.LogCaptureFixture
) -> None:
    page = serve_page()
    client = Client(page.server).enter()
    answer = client.do("fail")
    assert (answer.status, answer.json) == (500, {})
    assert client.do("echo").status == 200
    page.server.close()
    (record,) = caplog.records
    assert record.exc_info


def test_where_orders_go_there_is_nothing_to_see(serve_page: ServePage) -> None:
    client = Client(serve_page().server).enter()
    assert client.ask("GET", "/do/echo").status == 404
    assert client.ask("POST", "/", b"").status == 404
    assert client.ask("GET", "/style.css/").status == 404
