"""Serves the page of a device."""

import html
import json
import string
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

from starlette.responses import PlainTextResponse, Response

from edge_client.web.device_like import DeviceLike
from edge_client.web.feed import Feed
from edge_client.web.routes import routes
from shared.web.access import Access
from shared.web.bounds import Bounds
from shared.web.link import link
from shared.web.server import WebServer, listen
from shared.web.site import ENTRY, Site

TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
}
"""Of files, by what their names end with."""

OPEN: Final = ("/page.css", "/icon.svg")
"""What the page that refuses needs."""


def serve(
    device: DeviceLike,
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    token: str | None = None,
    bounds: Bounds | None = None,
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
    bounds
        Of its connections.

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
    listener = listen(host, port)
    folder = files("edge_client.web") / "static"
    texts = json.loads((folder / "texts.json").read_text("utf-8"))
    pages = _files(folder, texts)
    feed = Feed(device)
    site = Site(
        routes(device, feed, pages),
        access,
        refused=_answer(folder / "refused.html", texts, HTTPStatus.UNAUTHORIZED),
        # Plain, as nothing else is sent to such a host: no style, no script.
        unknown_host=PlainTextResponse(texts["unknown_host"], HTTPStatus.MISDIRECTED_REQUEST),
        open_paths=OPEN,
    )
    address = link(host, listener.getsockname()[1], access.token)
    return WebServer(site, listener, address, feed.close, bounds)


def _files(folder: Traversable, texts: Mapping[str, Any]) -> dict[str, Response]:
    """Read the page's files, by their paths."""
    found = {"/" + file.name: _answer(file, texts) for file in folder.iterdir()}
    found[ENTRY] = found.pop("/page.html")
    del found["/refused.html"]
    return found


def _answer(
    file: Traversable, texts: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """Read a file as an answer; the texts are put into HTML."""
    kind = file.name.rpartition(".")[2]
    content = file.read_text("utf-8")
    if kind == "html":
        plain = {name: html.escape(text) for name, text in texts.items() if isinstance(text, str)}
        content = string.Template(content).substitute(plain)
    return Response(content, status, media_type=TYPES[kind])
