"""A page's files: its own, and those that every page of the project has."""

import html
import json
import string
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from shared.web.access import Access
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


class PageFiles:
    """The files of a page, read once.

    Parameters
    ----------
    folder
        The page's own files. ``page.html`` is the page itself, and ``texts.json`` has its texts,
        which are put into the HTML.

    Attributes
    ----------
    answers
        Each file's path and answer.
    """

    def __init__(self, folder: Traversable) -> None:
        self._texts = json.loads((folder / "texts.json").read_text("utf-8"))
        common = files("shared.web") / "static"
        found = [file for each in (common, folder) for file in each.iterdir()]
        self.answers = {"/" + file.name: self._answer(file) for file in found}
        self.answers[ENTRY] = self.answers.pop("/page.html")
        self._refused = self.answers.pop("/refused.html")
        self._refused.status_code = HTTPStatus.UNAUTHORIZED

    def site(self, routes: Sequence[BaseRoute], access: Access) -> Site:
        """Put the page together.

        Parameters
        ----------
        routes
            What it answers.
        access
            Decides who may see it.
        """
        return Site(
            routes,
            access,
            refused=self._refused,
            # Plain, as nothing else is sent to such a host: no style, no script.
            unknown_host=PlainTextResponse(
                self._texts["unknown_host"], HTTPStatus.MISDIRECTED_REQUEST
            ),
            open_paths=OPEN,
        )

    def _answer(self, file: Traversable) -> Response:
        kind = file.name.rpartition(".")[2]
        content = file.read_text("utf-8")
        if kind == "html":
            plain = {
                name: html.escape(text)
                for name, text in self._texts.items()
                if isinstance(text, str)
            }
            content = string.Template(content).substitute(plain)
        return Response(content, media_type=TYPES[kind])
