"""Serves the page of a device."""

import errno
import html
import json
import logging
import socket
import string
import threading
from importlib.resources import files
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final

from edge_client.web.device_like import DeviceLike
from edge_client.web.feed import Feed
from edge_client.web.handler import Handler, Site
from shared.errors import SettingsError
from shared.web.access import Access
from shared.web.link import link

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 24
"""At the same time: eight pages that are kept up to date, and room for their requests."""

LAST_PORT: Final = 65_535

CROWDED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}


class WebServer:
    """The page of a device, while it is served; made by :func:`serve`.

    Attributes
    ----------
    address
        The link to the page, with its token.
    """

    def __init__(self, server: "_Server", feed: Feed, address: str) -> None:
        self.address = address
        self._server = server
        self._feed = feed
        # The argument is how many seconds close() may take.
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.1,), name="web-server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more; open pages say that the device is away."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._feed.close()
        self._thread.join()


def serve(
    device: DeviceLike, host: str = "127.0.0.1", port: int = 8765, *, token: str | None = None
) -> WebServer:
    """Serve the page of a device, in threads of its own.

    Parameters
    ----------
    device
        The device; its methods are called from several threads.
    host
        Name or address to listen at: ``127.0.0.1`` for this machine only, ``0.0.0.0`` for its
        network too.
    port
        Port; 0 takes a free one.
    token
        At least 16 characters that the link holds and that let a browser in; drawn if not given.

    Returns
    -------
    WebServer
        With the link to the page; ends with its ``close()``.

    Raises
    ------
    SettingsError
        If the port is in use or not allowed, the host is not this machine's, or the token is too
        short.
    """
    access = Access(token, host)
    server = _listen(host, port)
    feed = Feed(device)
    site = Site(device, feed, access, _files())
    server.RequestHandlerClass = type("SiteHandler", (Handler,), {"site": site})
    return WebServer(server, feed, link(host, server.server_address[1], access.token))


class _Server(ThreadingMixIn, TCPServer):
    """One thread a connection, and only so many."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, family: socket.AddressFamily, address: Any) -> None:
        self.address_family = family
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            request.setblocking(False)
            request.send(CROWDED)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            log.exception("The system gives no thread to answer the page with.")
            self.shutdown_request(request)
            self._room.release()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            super().finish_request(request, client_address)
        except OSError:
            pass  # The browser has gone, or was too slow.
        except Exception:
            log.exception("A request to the page could not be answered.")


def _listen(host: str, port: int) -> _Server:
    remedy = "Give another address with --web HOST:PORT."
    if not 0 <= port <= LAST_PORT:
        raise SettingsError(f"{port} is no port; ports are 1 to {LAST_PORT}.", remedy)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _Server(family, address)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"There is no address {host} to serve the page at.", remedy) from error
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"Port {port} is in use by another program.",
            errno.EACCES: f"Port {port} is not allowed; those below 1024 belong to the system.",
            errno.EADDRNOTAVAIL: f"This machine has no address {host} to serve the page at.",
        }
        known = reasons.get(error.errno or 0, f"Cannot serve the page at {host}:{port}: {error}.")
        raise SettingsError(known, remedy) from error


def _files() -> dict[str, tuple[str, bytes]]:
    """Read the page's files, by their paths; the texts are put into its HTML."""
    folder = files("edge_client.web") / "static"
    texts = json.loads((folder / "texts.json").read_text("utf-8"))
    plain = {name: html.escape(text) for name, text in texts.items() if isinstance(text, str)}
    found = {}
    for file in folder.iterdir():
        kind = file.name.rpartition(".")[2]
        content = file.read_text("utf-8")
        if kind == "html":
            content = string.Template(content).substitute(plain)
        found["/" + file.name] = TYPES[kind], content.encode()
    found["/"] = found.pop("/page.html")
    found["refused"] = found.pop("/refused.html")
    # Plain, as nothing else is sent to such a host: no style, no script.
    found["unknown_host"] = "text/plain; charset=utf-8", texts["unknown_host"].encode()
    return found
