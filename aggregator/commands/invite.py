"""``aggregator invite`` and ``revoke``: who may take part in a federation by invitation."""

import sys
from typing import Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import FEWEST_HOURS, MOST_HOURS, USUAL_HOURS, StateSettings
from shared.settings import options_of


@options_of(StateSettings)
def invite(
    *,
    given: dict[str, Any],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the device will be called.")],
    hours: Annotated[
        float,
        typer.Option(min=FEWEST_HOURS, max=MOST_HOURS, help="How long the link is good."),
    ] = USUAL_HOURS,
    again: Annotated[
        bool, typer.Option("--again", help="For a device that has joined before: a new card.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(help="HOST or HOST:PORT by which the device reaches the broker."),
    ] = None,
    config: Config = None,
) -> None:
    """Print the link with which one device can join, and its QR code.

    `aggregator serve --by-invitation` has to run, or to have run once. Whoever has the link can
    join, once: hand it over as you would a key.

    Example: aggregator invite kitchen
    """
    from aggregator.enrolment.links import is_told, link_for
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console
    from shared.mqtt.addresses import is_loopback
    from shared.web.link import show_qr_code

    folder = FederationFolder(StateSettings.find(given, config))
    made, _ = link_for(folder, name, hours=hours, again=again, address=address)
    told = is_told(folder, name)  # whoever has the link may use it at once
    typer.echo(str(made))
    if sys.stdout.isatty():
        show_qr_code(str(made))
    if not told:
        late = "The broker was not told of it yet: the link is good once `aggregator serve` runs."
        progress_console().print(late, soft_wrap=True)
    if is_loopback(made.host):
        here = (
            "This link is for this machine alone: serve with --listen 0.0.0.0, or give --address."
        )
        progress_console().print(here, soft_wrap=True)
    said = f"On the device, within {hours:g} h: edge-client join 'LINK', with this line as LINK."
    progress_console().print(said, soft_wrap=True)


@options_of(StateSettings)
def revoke(
    *,
    given: dict[str, Any],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device.")],
    config: Config = None,
) -> None:
    """Shut a device out: its key, its account at the broker, its link, its update.

    A running `aggregator serve` does so within a second; without one, Mosquitto lets it in until
    one runs, but what it says counts no more.

    Example: aggregator revoke kitchen
    """
    from aggregator.enrolment.links import is_out, shut_out
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console

    folder = FederationFolder(StateSettings.find(given, config))
    shut_out(folder, name)
    said = f"{name} is shut out."
    if not is_out(folder, name):
        said += (
            " The broker was not told of it yet: it lets the device in until `aggregator serve` "
            "runs."
        )
    progress_console().print(said, soft_wrap=True)
