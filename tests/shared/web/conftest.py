"""A page that is as small as a page can be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared.web.access import Access
from shared.web.bounds import ServerBounds
from shared.web.events import Broadcast, EventStream, event
from shared.web.link import link
from shared.web.server import WebServer, listen
from shared.web.site import Site, read_body


@dataclass(frozen=True)
class SmallPage:
    server: WebServer
    broadcast: Broadcast


ServePage = Callable[..., SmallPage]
"""Serves a page, within bounds if they are given."""


async def echo(request: Request) -> Response:
    return Response(await read_body(request))


async def fail(_: Request) -> Response:
    raise ZeroDivisionError


def small_page(bounds: ServerBounds | None) -> SmallPage:
    access = Access(None, "127.0.0.1")
    listener = listen("127.0.0.1", 0)
    broadcast = Broadcast(lambda: event("level", b"0"))
    routes = [
        Route("/", PlainTextResponse("Welcome."), methods=["GET"]),
        Route("/style.css", PlainTextResponse(""), methods=["GET"]),
        Route("/events", EventStream(broadcast.reader), methods=["GET"]),
        Route("/do/echo", echo, methods=["POST"]),
        Route("/do/fail", fail, methods=["POST"]),
    ]
    refused = PlainTextResponse("No.", 401)
    unknown_host = PlainTextResponse("Who?", 421)
    site = Site(
        routes, access, refused=refused, unknown_host=unknown_host, open_paths=["/style.css"]
    )
    address = link("127.0.0.1", listener.getsockname()[1], access.token)
    return SmallPage(WebServer(site, listener, address, broadcast.close, bounds), broadcast)


@pytest.fixture
def serve_page() -> Iterator[ServePage]:
    pages: list[SmallPage] = []

    def serve(bounds: ServerBounds | None = None) -> SmallPage:
        pages.append(small_page(bounds))
        return pages[-1]

    yield serve
    for page in pages:
        page.server.close()
