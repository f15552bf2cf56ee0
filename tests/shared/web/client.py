"""Speaks HTTP to a page, as a browser would or would not."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from shared.web.server import WebServer

PATIENCE = 60
"""Seconds to wait for anything at most."""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    server: WebServer
    cookie: str = field(default="")

    def __post_init__(self) -> None:
        url = urlsplit(self.server.address)
        assert url.hostname
        assert url.port
        self.name, self.port, self.link = url.hostname, url.port, f"/?{url.query}"
        self.host = f"{self.name}:{self.port}"

    def enter(self) -> "Client":
        answer = self.ask("GET", self.link)
        assert answer.status == 200
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return self

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> Answer:
        """Ask with a browser's headers; a keyword changes one, or takes it away."""
        told: dict[str, str | None] = {
            "Host": self.host,
            "Cookie": self.cookie or None,
            "Origin": f"http://{self.host}" if method == "POST" else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection(self.name, self.port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if body is not None and "Content_Length" not in headers:
            told["Content-Length"] = str(len(body))
        for name, value in told.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        answer = Answer(reply.status, reply.headers, reply.read())
        connection.close()
        return answer

    def do(self, name: str, /, **content: Any) -> Answer:
        return self.ask("POST", f"/do/{name}", json.dumps(content).encode())

    def connect(self) -> socket.socket:
        return socket.create_connection((self.name, self.port), timeout=PATIENCE)

    def events(self) -> "Events":
        return Events(self)


class Events:
    """A page's event stream."""

    def __init__(self, client: Client) -> None:
        self.connection = http.client.HTTPConnection(client.name, client.port, timeout=PATIENCE)
        self.connection.request("GET", "/events", headers={"Cookie": client.cookie})
        self.lines = self.connection.getresponse()
        self.status = self.lines.status

    def next(self, kind: str) -> Any:
        while line := self.lines.readline():
            if line == b"event: %s\n" % kind.encode():
                return json.loads(self.lines.readline().removeprefix(b"data: "))
        raise EOFError

    def close(self) -> None:
        self.lines.close()
        self.connection.close()
