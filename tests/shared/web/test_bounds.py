import socket
import threading
import time

from shared.web.bounds import ServerBounds
from tests.shared.web.client import PATIENCE, Client, wait_for
from tests.shared.web.conftest import ServePage


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def test_a_request_that_is_too_large_is_ended(serve_page: ServePage) -> None:
    stranger = Client(serve_page(ServerBounds(slowest_request=10 * PATIENCE)).server)
    connection = stranger.connect()
    connection.sendall(b"GET / HTTP/1.1\r\n" + b"A: %s\r\n" % (b"x" * 1000) * 20)
    assert is_ended(connection)


def test_a_request_that_never_arrives_is_ended(serve_page: ServePage) -> None:
    stranger = Client(serve_page(ServerBounds(slowest_request=0.2)).server)
    connection = stranger.connect()
    connection.settimeout(0.01)
    connection.sendall(b"GET / HTTP/1.1\r\nA: ")

    def ended_by_another_drop() -> bool:
        try:
            connection.sendall(b"x")
            return is_ended(connection)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    # No single read is slow.
    wait_for(ended_by_another_drop)


def test_connections_are_bounded_and_come_free(serve_page: ServePage) -> None:
    client = Client(serve_page().server).enter()
    idle = [client.connect() for _ in range(ServerBounds().most_connections)]
    with client.connect() as crowded:
        assert crowded.recv(65536).startswith(b"HTTP/1.1 503 ")
    for connection in idle:
        connection.close()
    wait_for(lambda: client.ask("GET", "/style.css").status == 200)


def test_a_slow_reader_is_dropped(serve_page: ServePage) -> None:
    page = serve_page(ServerBounds(slowest_reader=0.2))
    slow = Client(page.server).enter().events()  # It reads nothing any more.
    wait_for(lambda: page.broadcast.readers == 1)
    stop = threading.Event()

    def change() -> None:
        while not stop.wait(0.01):
            page.broadcast.tell("state", b"%f" % time.monotonic() * 50_000)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        wait_for(lambda: page.broadcast.readers == 0)
    finally:
        stop.set()
        changing.join()
    slow.close()


def test_closing_waits_for_nobody_who_sends_or_reads_slowly(serve_page: ServePage) -> None:
    page = serve_page(ServerBounds(slowest_request=10 * PATIENCE, slowest_reader=10 * PATIENCE))
    client = Client(page.server).enter()
    stream = client.events()
    silent, halfway, unread = client.connect(), client.connect(), client.connect()
    head = f"POST /do/echo HTTP/1.1\r\nHost: {client.host}\r\nCookie: {client.cookie}\r\n"
    halfway.sendall(head.encode())
    head += f"Origin: http://{client.host}\r\nContent-Length: 9\r\n\r\nabc"
    unread.sendall(head.encode())
    page.broadcast.tell("state", b"x" * 5_000_000)
    wait_for(lambda: page.broadcast.readers == 1)
    closing = threading.Thread(target=page.server.close, daemon=True)
    closing.start()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    for connection in (silent, halfway, unread):
        connection.close()
    stream.close()


def test_who_comes_while_the_server_ends_is_sent_away(serve_page: ServePage) -> None:
    """Otherwise its end would wait for them, as it tells those who are there only once."""
    page = serve_page(ServerBounds(slowest_request=10 * PATIENCE))
    page.server._is_ending.set()
    with Client(page.server).connect() as late:
        assert is_ended(late)
