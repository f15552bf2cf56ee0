"""What the page of a federation asks, and how it is answered."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from aggregator.ledger.model_files import files_of
from aggregator.web.feed import Feed
from aggregator.web.metrics import TYPE, Metrics
from aggregator.web.overview import Overview
from shared.errors import ChorusError
from shared.web.events import EventStream

log = logging.getLogger(__name__)


def routes(
    overview: Overview,
    feed: Feed,
    metrics: Metrics,
    files: Mapping[str, Response],
) -> list[Route]:
    """List the page's routes.

    Parameters
    ----------
    overview
        What the ledger tells.
    feed
        What the pages show.
    metrics
        The figures for Prometheus.
    files
        Each file's path and answer.
    """
    models = files_of(overview.history)

    def export(request: Request) -> Response:
        """Send a model's file; the browser keeps it."""
        number = request.path_params["number"]
        # A number of more digits is no version's, and could be too long to be read at all.
        if not re.fullmatch("[0-9]{1,18}", number):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        try:
            version = overview.history.version(int(number))
            models.check(version.exported)
        except (KeyError, ChorusError) as error:
            raise HTTPException(HTTPStatus.NOT_FOUND) from error
        name = f"{overview.settings['federation']}-round-{version.round}.safetensors"
        log.info("The model of round %d was exported from the page.", version.round)
        file = models.path(version.exported)
        return FileResponse(file, media_type="application/octet-stream", filename=name)

    def figures(_: Request) -> Response:
        try:
            return Response(metrics.text(), media_type=TYPE)
        except ChorusError as error:
            return PlainTextResponse(error.message, HTTPStatus.SERVICE_UNAVAILABLE)

    return [
        *(Route(path, answer, methods=["GET"]) for path, answer in files.items()),
        Route("/events", EventStream(feed.reader), methods=["GET"]),
        Route("/metrics", figures, methods=["GET"]),
        Route("/models/{number}.safetensors", export, methods=["GET"]),
    ]
