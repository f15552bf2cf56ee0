"""The routes of a page, behind a gate that lets in who has its link."""

import logging
import re
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from shared.web.access import Access
from shared.web.policy import HEADERS, error_response

log = logging.getLogger(__name__)

ENTRY: Final = "/"
"""The path of the page itself, to which the link with the token leads."""

LARGEST_BODY: Final = 1024
"""Bytes of a request's body, unless a route takes more."""


class Site:
    """A page as an ASGI application.

    Parameters
    ----------
    routes
        What it answers to ``GET`` and ``POST``; one of them is :data:`ENTRY`.
    access
        Decides who may see it.
    refused
        What it answers to ``GET`` from a browser that may not.
    unknown_host
        What it answers where it is called by a name that is not its own.
    open_paths
        What anyone may see, because ``refused`` needs it.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        access: Access,
        *,
        refused: Response,
        unknown_host: Response,
        open_paths: Collection[str] = (),
    ) -> None:
        self._access = access
        self._refused = refused
        self._unknown_host = unknown_host
        self._open_paths = open_paths
        self._app = Starlette(
            routes=routes, exception_handlers={HTTPException: _refuse, Exception: _refuse}
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is."""
        request = Request(scope)
        answer = self._gate(request)
        cookie = answer is None and scope["method"] == "GET" and scope["path"] == ENTRY

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if cookie:
                    headers.append("Set-Cookie", self._access.cookie(_port(scope)))
            await send(message)

        try:
            await (answer or self._app)(scope, receive, send_strictly)
        except ClientDisconnect:
            pass  # The browser has gone before it had sent everything.
        except Exception:
            log.exception("A request to the page could not be answered.")

    def _gate(self, request: Request) -> Response | None:
        """Give the refusal of a request, or nothing if it may pass."""
        if request.method not in ("GET", "POST"):
            return error_response(HTTPStatus.NOT_IMPLEMENTED)
        # A proxy is asked by whole addresses, which may be no addresses at all (`http://[x/`).
        if not request.scope["raw_path"].startswith(b"/"):
            return error_response(HTTPStatus.BAD_REQUEST)
        if not self._access.host_is_ours(request.headers.get("Host", "")):
            return self._unknown_host
        cookies = request.headers.get("Cookie", "")
        let_in = self._access.cookie_fits(cookies, _port(request.scope))
        if request.method == "POST":
            return self._gate_of_orders(request, let_in=let_in)
        path = request.scope["path"]
        # The page itself and not a redirection to it: a browser that follows a link from another
        # site would not send the strict cookie along with that.
        token = request.query_params.get("token", "") if path == ENTRY else ""
        # A program, such as one that collects figures, brings the token in a header.
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        fits = self._access.token_fits(token) or self._access.token_fits(bearer)
        welcome = let_in or path in self._open_paths or fits
        return None if welcome else self._refused

    def _gate_of_orders(self, request: Request, *, let_in: bool) -> Response | None:
        headers = request.headers
        if not let_in:
            return error_response(HTTPStatus.UNAUTHORIZED)
        if not self._access.origin_is_ours(headers.get("Origin", ""), headers.get("Host", "")):
            return error_response(HTTPStatus.FORBIDDEN)
        return None


async def read_body(request: Request, most: int = LARGEST_BODY) -> bytes:
    """Read the body of a request.

    Parameters
    ----------
    request
        The request.
    most
        Bytes that it may have.

    Raises
    ------
    HTTPException
        If it is larger (413), or does not say how large it is (411).
    """
    length = request.headers.get("Content-Length", "")
    if not re.fullmatch("[0-9]{1,9}", length) or "Transfer-Encoding" in request.headers:
        raise HTTPException(HTTPStatus.LENGTH_REQUIRED)
    if int(length) > most:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return await request.body()


def _port(scope: Scope) -> int:
    port: int = scope["server"][1]
    return port


def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return error_response(HTTPStatus.INTERNAL_SERVER_ERROR)
    # Where a path takes orders only, there is nothing to see.
    hidden = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    return error_response(HTTPStatus.NOT_FOUND if hidden else error.status_code)
