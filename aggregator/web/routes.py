"""What the page of a federation asks, and how it is answered."""

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from aggregator.ledger import Version
from aggregator.ledger.model_files import files_of
from aggregator.web.feed import Feed
from aggregator.web.metrics import TYPE, Metrics
from aggregator.web.overview import Overview
from shared.errors import ChorusError
from shared.web.events import EventStream
from shared.web.policy import error_response
from shared.web.site import read_body

log = logging.getLogger(__name__)

RollBack = Callable[[int], Version]
"""Makes the model after a round current again; raises a :class:`~shared.errors.ChorusError`."""

_LARGEST: Final = (1 << 63) - 1


class RollBackOrder(BaseModel):
    """An order to go back to an earlier model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    round: Annotated[int, Field(ge=0, le=_LARGEST)]
    """The model after this round."""


def routes(
    overview: Overview,
    feed: Feed,
    metrics: Metrics,
    roll_back: RollBack,
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
    roll_back
        Goes back to an earlier model.
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

    async def go_back(request: Request) -> Response:
        return await run_in_threadpool(_go_back, roll_back, await read_body(request))

    return [
        *(Route(path, answer, methods=["GET"]) for path, answer in files.items()),
        Route("/events", EventStream(feed.reader), methods=["GET"]),
        Route("/metrics", figures, methods=["GET"]),
        Route("/models/{number}.safetensors", export, methods=["GET"]),
        Route("/do/rollback", go_back, methods=["POST"]),
    ]


def _go_back(roll_back: RollBack, body: bytes) -> Response:
    try:
        order = RollBackOrder.model_validate_json(body)
    except ValidationError:
        return error_response(HTTPStatus.BAD_REQUEST)
    try:
        version = roll_back(order.round)
    except ChorusError as error:
        sentence = error.message
        return _json({"problem": sentence}, HTTPStatus.CONFLICT)
    log.info("The page went back to the model of round %d.", version.round)
    return _json({})


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(to_json(content), status, media_type="application/json")
