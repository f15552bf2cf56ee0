"""What a person may order from the page of a federation, and how it is done."""

import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Protocol

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aggregator.ledger import Version
from aggregator.settings import FEWEST_HOURS, MOST_HOURS, USUAL_HOURS
from aggregator.web.enrolled import Enrolled
from shared.web.link import qr_path
from shared.web.orders import Given, Order, carried_out
from shared.web.site import read_body

log = logging.getLogger(__name__)

_LARGEST: Final = (1 << 63) - 1
_LONGEST: Final = 64
_LONGEST_ADDRESS: Final = 300


class Steered(Protocol):
    """What does the orders; :class:`aggregator.server.steering.Steering` is one."""

    def roll_back(self, number: int) -> Version:
        """Make the model after a round current again."""

    def pause(self, *, paused: bool) -> None:
        """Let no round open, or let them open again."""


class RollBack(Order):
    """An order to go back to an earlier model."""

    round: Annotated[int, Field(ge=0, le=_LARGEST)]
    """The model after this round."""


class Pause(Order):
    """An order to pause the federation, or to go on."""

    paused: bool
    """Whether no round opens from now on."""


class Invite(Order):
    """An order to invite a device."""

    name: Annotated[str, Field(max_length=_LONGEST)]
    """What it will be called."""
    again: bool
    """Whether it has joined before."""
    hours: Annotated[float, Field(ge=FEWEST_HOURS, le=MOST_HOURS)] = USUAL_HOURS
    """How long its link is good."""
    address: Annotated[str, Field(max_length=_LONGEST_ADDRESS)] = ""
    """Where it reaches the broker, HOST or HOST:PORT; as far as it is known, if not given."""


class Revoke(Order):
    """An order to shut a device out."""

    name: Annotated[str, Field(max_length=_LONGEST)]
    """Which."""


def orders(steered: Steered, enrolled: Enrolled | None) -> list[Route]:
    """List the routes of what the page may order.

    Parameters
    ----------
    steered
        Does what concerns rounds.
    enrolled
        Invites and shuts out, in a federation by invitation.
    """

    def roll_back(order: RollBack) -> dict[str, Any]:
        version = steered.roll_back(order.round)
        log.info("The page went back to the model of round %d.", version.round)
        return {}

    def pause(order: Pause) -> dict[str, Any]:
        steered.pause(paused=order.paused)
        done = "paused the federation" if order.paused else "let the federation go on"
        log.info("The page %s.", done)
        return {}

    routes = [_route("rollback", RollBack, roll_back), _route("pause", Pause, pause)]
    if enrolled:
        routes += _enrolling(enrolled)
    return routes


def _enrolling(enrolled: Enrolled) -> list[Route]:
    def invite(order: Invite) -> dict[str, Any]:
        made = enrolled.invite(
            order.name, again=order.again, hours=order.hours, address=order.address.strip() or None
        )
        size, path = qr_path(made.link)
        expires = round(made.expires * 1000)
        return {**made._asdict(), "expires": expires, "qr": {"size": size, "path": path}}

    def revoke(order: Revoke) -> dict[str, Any]:
        return {"told": enrolled.revoke(order.name)}

    return [_route("invite", Invite, invite), _route("revoke", Revoke, revoke)]


def _route(name: str, kind: type[Given], do: Callable[[Given], Mapping[str, Any]]) -> Route:
    async def take(request: Request) -> Response:
        return await run_in_threadpool(carried_out, kind, await read_body(request), do)

    return Route(f"/do/{name}", take, methods=["POST"])
