"""What every answer of a page says, refusals included."""

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
    "Server": "Chorus",
}
"""Of every answer. ``blob:`` is sound that is replayed. No connection is kept, so that the bounds
of a connection are a request's."""


def error_response(status: int) -> Response:
    """Refuse a request; a page tells by the status why."""
    return Response(b"{}", status, media_type="application/json")


def raw_error_response(status: HTTPStatus) -> bytes:
    """Write a refusal as it is sent, for where there is no request to answer."""
    answer = error_response(status)
    headers = [*answer.headers.items(), *HEADERS.items()]
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        *(f"{name}: {text}" for name, text in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + bytes(answer.body)
