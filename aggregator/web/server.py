"""Serves the page of a federation."""

from importlib.resources import files

from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from aggregator.web.enrolled import Enrolled
from aggregator.web.feed import Feed
from aggregator.web.metrics import Metrics
from aggregator.web.orders import Steered, orders
from aggregator.web.overview import Overview
from aggregator.web.routes import routes
from aggregator.web.standing import Look
from shared.web.access import Access, kept_token
from shared.web.files import PageFiles
from shared.web.link import link
from shared.web.server import WebServer, listen


def serve(
    folder: FederationFolder,
    look: Look,
    steered: Steered,
    host: str,
    port: int,
    *,
    by_invitation: bool = False,
    name_devices: bool = False,
) -> WebServer:
    """Serve the page of a federation, in threads of its own.

    Parameters
    ----------
    folder
        Where the federation lies; its ledger has been begun.
    look
        Says where it stands.
    steered
        Does what the page orders.
    host
        Name or address to listen at: ``127.0.0.1`` for this machine only, ``0.0.0.0`` for its
        network too.
    port
        Port; 0 takes a free one.
    by_invitation
        Whether devices join by invitation.
    name_devices
        Whether ``/metrics`` tells of each device by its name.

    Returns
    -------
    WebServer
        With the link to the page; ends with its ``close()``.

    Raises
    ------
    SettingsError
        If the port is in use or not allowed, or the host is not this machine's.
    FederationError
        If the ledger cannot be read.
    TrustError, StorageError
        If the list of members cannot be read.
    """
    access = Access(kept_token(folder.token), host)
    listener = listen(host, port)
    history = History(folder.ledger)
    overview = Overview(history)
    enrolled = Enrolled(folder) if by_invitation else None
    feed = Feed(overview, look, enrolled)
    metrics = Metrics(
        overview,
        look,
        folder.path,
        members=enrolled.joined if enrolled else None,
        name_devices=name_devices,
    )
    page = PageFiles(files("aggregator.web") / "static")
    served = [
        *routes(overview, feed, metrics, page.answers),
        *orders(steered, enrolled),
    ]
    site = page.site(served, access)

    def end() -> None:
        feed.close()
        history.close()
        if enrolled:
            enrolled.close()

    return WebServer(site, listener, link(host, listener.getsockname()[1], access.token), end)
