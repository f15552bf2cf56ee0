"""What a page orders: checked, done, and answered."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from shared.errors import ChorusError
from shared.web.policy import error_response


class Order(BaseModel):
    """What a page sends; this one needs to say nothing more."""

    model_config = ConfigDict(extra="forbid", strict=True)


Given = TypeVar("Given", bound=Order)


def carried_out(
    kind: type[Given], body: bytes, do: Callable[[Given], object], context: object = None
) -> Response:
    """Answer an order with what comes of it, or with the sentence of what is in its way.

    Parameters
    ----------
    kind
        What is ordered.
    body
        What the page has sent.
    do
        Does it, and gives what the page is told.
    context
        What the order's own checks are told.
    """
    try:
        given = kind.model_validate_json(body, context=context)
    except ValidationError:
        return error_response(HTTPStatus.BAD_REQUEST)
    try:
        return _json(do(given))
    except ChorusError as error:
        return _json({"problem": error.message}, HTTPStatus.CONFLICT)


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(to_json(content), status, media_type="application/json")
