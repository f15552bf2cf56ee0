"""Answers one request to the page."""

import io
import logging
import re
import socket
import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from edge_client.web.device_like import DeviceLike
from edge_client.web.feed import Feed
from shared.audio import RATE
from shared.emotions import Emotion
from shared.errors import ChorusError
from shared.web.access import Access

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

log = logging.getLogger(__name__)

LARGEST_REQUEST: Final = 16 * 1024
"""Bytes of a request, headers and all."""

LARGEST_BODY: Final = 1024
"""Bytes; the longest that the page sends are 40."""

SLOWEST_REQUEST: Final = 10.0
"""Seconds in which a request must have arrived."""

SLOWEST_READER: Final = 10.0
"""Seconds in which an answer, or one event, must have been taken."""

SEND_BUFFER: Final = 64 * 1024
"""Bytes that the system keeps for a reader that is slow."""

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
}
"""Of every answer. ``blob:`` is the sound that is replayed."""


OPEN: Final = ("/page.css", "/icon.svg")
"""What anyone may see: the page that refuses needs it."""


@dataclass(frozen=True)
class Site:
    """What all requests share."""

    device: DeviceLike
    """Whose page it is."""
    feed: Feed
    """What its pages show."""
    access: Access
    """Who may see them."""
    files: Mapping[str, tuple[str, bytes]]
    """Each path's media type and content."""


class Order(BaseModel):
    """An order of the page that needs to say nothing more."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ExampleOrder(Order):
    """An order about an utterance."""

    id: int
    """Which utterance."""


class CorrectOrder(ExampleOrder):
    """A correction."""

    emotion: Emotion
    """What it is."""


def _undo(device: DeviceLike) -> dict[str, int]:
    restored = device.undo()
    if restored is None:
        raise ChorusError("There is nothing to undo.")
    return {"id": restored.identifier}


ORDERS: Final[dict[str, tuple[type[Order], Callable[[DeviceLike, Any], object]]]] = {
    "confirm": (ExampleOrder, lambda device, order: device.confirm(order.id)),
    "correct": (CorrectOrder, lambda device, order: device.correct(order.id, order.emotion)),
    "discard": (ExampleOrder, lambda device, order: device.discard(order.id)),
    "undo": (Order, lambda device, _: _undo(device)),
    "pause": (Order, lambda device, _: device.pause()),
    "resume": (Order, lambda device, _: device.resume()),
    "delete": (Order, lambda device, _: device.delete_everything()),
}
"""What ``POST /do/NAME`` takes, and does."""


class Incoming(io.RawIOBase):
    """Reads a request, within its bounds of time and size.

    Raises
    ------
    TimeoutError
        By its methods, if the request is slower or larger: both end the connection.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = time.monotonic() + SLOWEST_REQUEST
        self._left = LARGEST_REQUEST

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what has arrived."""
        seconds = self._end - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        try:
            count = self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(SLOWEST_READER)
        self._left -= count
        return count


class Handler(BaseHTTPRequestHandler):
    """Answers one request, then ends the connection.

    Nothing is answered to a request for another host's name, or without the token; nothing is done
    for one that does not come from the page itself.
    """

    site: ClassVar[Site]
    protocol_version = "HTTP/1.1"  # events need no length then; no connection is kept

    def setup(self) -> None:
        """Set the connection's bounds."""
        super().setup()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.connection.settimeout(SLOWEST_READER)
        self.rfile = io.BufferedReader(Incoming(self.connection))

    def handle(self) -> None:
        """Answer one request."""
        self.close_connection = True
        self.handle_one_request()

    def do_GET(self) -> None:
        """Answer what shows something."""
        url = urlsplit(self.path)
        token = parse_qs(url.query).get("token", [""])[0]
        if not self._host_is_ours():
            return
        if url.path == "/" and (self.site.access.token_fits(token) or self._is_let_in()):
            # The page itself and not a redirection to it: a browser that follows a link from
            # another site would not send the strict cookie along with that.
            self._answer(*self.site.files["/"], cookie=True)
        elif url.path not in OPEN and not self._is_let_in():
            self._answer(*self.site.files["refused"], status=HTTPStatus.UNAUTHORIZED)
        elif url.path == "/events":
            self._events()
        elif found := re.fullmatch(r"/sound/([0-9]{1,18})\.wav", url.path):
            self._sound(int(found[1]))
        elif url.path in self.site.files:
            self._answer(*self.site.files[url.path])
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Do what the page's user wants."""
        if not self._host_is_ours():
            return
        if not self._is_let_in():
            self._refuse(HTTPStatus.UNAUTHORIZED)
        elif not self.site.access.origin_is_ours(
            self.headers.get("Origin", ""), self.headers.get("Host", "")
        ):
            self._refuse(HTTPStatus.FORBIDDEN)
        elif not self.path.startswith("/do/") or self.path[4:] not in ORDERS:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif (body := self._body()) is not None:
            self._do(self.path[4:], body)

    def end_headers(self) -> None:
        """Add what every answer has, errors included."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Name the server, without its version."""
        return "Chorus"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep requests out of the terminal, and the token out of the log."""

    @property
    def _port(self) -> int:
        port: int = self.connection.getsockname()[1]
        return port

    def _host_is_ours(self) -> bool:
        ours = self.site.access.host_is_ours(self.headers.get("Host", ""))
        if not ours:
            status = HTTPStatus.MISDIRECTED_REQUEST
            self._answer(*self.site.files["unknown_host"], status=status)
        return ours

    def _is_let_in(self) -> bool:
        return self.site.access.cookie_fits(self.headers.get("Cookie", ""), self._port)

    def _body(self) -> bytes | None:
        """Read a request's body; refuse one that is too large or does not say how large it is."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return self.rfile.read(int(length))
        return None

    def _do(self, name: str, body: bytes) -> None:
        kind, action = ORDERS[name]
        try:
            outcome = action(self.site.device, kind.model_validate_json(body))
        except ValidationError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        except ChorusError as error:
            sentence = f"{error.problem} {error.remedy}".strip()
            self._json({"problem": sentence}, HTTPStatus.CONFLICT)
        except Exception:
            log.exception("The page's order %s could not be done.", name)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._json(outcome if name == "undo" else {})

    def _events(self) -> None:
        with self.site.feed.reader() as messages:
            if messages is None:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for message in messages:
                self.wfile.write(message)

    def _sound(self, identifier: int) -> None:
        samples = self.site.device.sound(identifier)
        if samples is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._answer("audio/wav", wav(samples))

    def _json(self, content: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer("application/json", to_json(content), status=status)

    def _refuse(self, status: HTTPStatus) -> None:
        self._json({}, status)

    def _answer(
        self,
        kind: str,
        content: bytes,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        cookie: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if cookie:
            self.send_header("Set-Cookie", self.site.access.cookie(self._port))
        self.end_headers()
        self.wfile.write(content)


def wav(samples: NDArray[np.float32]) -> bytes:
    """Write sound as a WAV file of 16 bits.

    Parameters
    ----------
    samples
        Shape ``(n,)``, float32 in ±1, 16 kHz; what is beyond is clipped.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
