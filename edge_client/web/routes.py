"""What a device's page asks of the device, and how it is answered."""

import io
import re
import wave
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_client.web.device_like import DeviceLike
from edge_client.web.feed import Feed
from shared.audio import RATE
from shared.errors import ChorusError
from shared.web.events import EventStream
from shared.web.orders import Order, carried_out
from shared.web.site import read_body


class ExampleOrder(Order):
    """An order about an utterance."""

    id: Annotated[int, Field(ge=1, lt=1 << 63)]
    """Which utterance."""


class CorrectOrder(ExampleOrder):
    """A correction."""

    label: str
    """What it is: one of the labels that the validation is told."""

    @field_validator("label")
    @classmethod
    def _check_label(cls, value: str, info: ValidationInfo) -> str:
        if value not in (info.context or ()):
            raise ValueError("there is no such label")
        return value


def _undo(device: DeviceLike) -> dict[str, int]:
    restored = device.undo()
    if restored is None:
        raise ChorusError("There is nothing to undo.")
    return {"id": restored.identifier}


ORDERS: Final[dict[str, tuple[type[Order], Callable[[DeviceLike, Any], object]]]] = {
    "correct": (CorrectOrder, lambda device, order: device.correct(order.id, order.label)),
    "discard": (ExampleOrder, lambda device, order: device.discard(order.id)),
    "undo": (Order, lambda device, _: _undo(device)),
    "pause": (Order, lambda device, _: device.pause()),
    "resume": (Order, lambda device, _: device.resume()),
    "delete": (Order, lambda device, _: device.delete_everything()),
}
"""What ``POST /do/NAME`` takes, and does."""


def routes(device: DeviceLike, feed: Feed, files: Mapping[str, Response]) -> list[Route]:
    """List the page's routes.

    Parameters
    ----------
    device
        Whose page it is; called from several threads.
    feed
        What its pages show.
    files
        Each file's path and answer.
    """

    def sound(request: Request) -> Response:
        number = request.path_params["number"]
        # A number of more digits is no utterance's, and could be too long to be read at all.
        known = re.fullmatch("[0-9]{1,18}", number)
        samples = device.sound(int(number)) if known else None
        if samples is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(wav(samples), media_type="audio/wav")

    async def do(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ORDERS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return await run_in_threadpool(_carry_out, device, name, await read_body(request))

    return [
        *(Route(path, answer, methods=["GET"]) for path, answer in files.items()),
        Route("/events", EventStream(feed.reader), methods=["GET"]),
        Route("/sound/{number}.wav", sound, methods=["GET"]),
        Route("/do/{name}", do, methods=["POST"]),
    ]


def _carry_out(device: DeviceLike, name: str, body: bytes) -> Response:
    kind, action = ORDERS[name]

    def do(order: Order) -> object:
        outcome = action(device, order)
        return outcome if name == "undo" else {}

    return carried_out(kind, body, do, device.task.names)


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
