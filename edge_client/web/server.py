"""Serves the page of a device."""

from importlib.resources import files

from edge_client.web.device_like import DeviceLike
from edge_client.web.feed import Feed
from edge_client.web.routes import routes
from shared.web.access import Access
from shared.web.bounds import ServerBounds
from shared.web.files import PageFiles
from shared.web.link import link
from shared.web.server import WebServer, listen


def serve(
    device: DeviceLike,
    host: str = "127.0.0.1",
    port: int = 8765,
    *,
    name: str = "",
    token: str | None = None,
    bounds: ServerBounds | None = None,
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
    name
        What the device is called; it stands beside the page's title.
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
    page = PageFiles(folder)
    feed = Feed(device, name)
    site = page.site(routes(device, feed, page.answers), access)
    address = link(host, listener.getsockname()[1], access.token)
    return WebServer(site, listener, address, feed.close, bounds)
