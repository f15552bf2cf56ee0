"""Serves a page, in a thread of its own."""

import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp
from uvicorn import Config, Server

from shared.errors import SettingsError
from shared.web.bounds import BoundedProtocol, ServerBounds

LAST_PORT: Final = 65_535

BACKLOG: Final = 16
"""Connections that the system keeps until they are taken."""


class WebServer:
    """A page, while it is served.

    Parameters
    ----------
    site
        The page.
    listener
        Where it is served: see :func:`listen`. It is closed with the server.
    address
        Its link.
    ending
        Called once while it closes: it ends the page's events, for which it would wait otherwise.
    bounds
        Of its connections.

    Attributes
    ----------
    address
        The link to the page, with its token.
    """

    def __init__(
        self,
        site: ASGIApp,
        listener: socket.socket,
        address: str,
        ending: Callable[[], object],
        bounds: ServerBounds | None = None,
    ) -> None:
        self.address = address
        self._end_events = ending
        self._is_ending = threading.Event()
        bounds = bounds or ServerBounds()
        protocol = {"bounds": bounds, "ending": self._is_ending}
        config = Config(
            site,
            http=type("PageProtocol", (BoundedProtocol,), protocol),
            loop="asyncio",
            ws="none",
            lifespan="off",
            backlog=BACKLOG,
            h11_max_incomplete_event_size=bounds.largest_request,
            # Requests stay out of the terminal, and the token out of the log.
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self._server = Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="web-server", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more, once what is being done is done; open pages say that they are alone."""
        if not self._thread.is_alive():
            return
        self._is_ending.set()
        self._server.should_exit = True
        self._end_events()
        self._thread.join()


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address.

    Parameters
    ----------
    host
        Name or address: ``127.0.0.1`` for this machine only, ``0.0.0.0`` for its network too.
    port
        Port; 0 takes a free one.

    Raises
    ------
    SettingsError
        If the port is in use or not allowed, or the host is not this machine's.
    """
    remedy = "Give another address with --web HOST:PORT."
    if not 0 <= port <= LAST_PORT:
        raise SettingsError(f"{port} is not a valid port; ports are 1 to {LAST_PORT}.", remedy)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
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
    return listener
