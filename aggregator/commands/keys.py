"""``aggregator keys``: what the aggregator of a federation by invitation signs with."""

from typing import Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of

keys = typer.Typer(help="The key that the aggregator signs with.", no_args_is_help=True)


@keys.callback()
def _keys() -> None:
    """Let there be sub-commands, though it is one."""


@keys.command()
@options_of(StateSettings)
def rotate(*, given: dict[str, Any], config: Config = None) -> None:
    """Sign with a new key from now on; devices learn it by a statement of the old one.

    A running `aggregator serve` does so within a second. A device that is away follows when it is
    back. Links that are not used yet stay good.

    Example: aggregator keys rotate
    """
    from aggregator.enrolment.rotation import rotate as rotate_key
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console

    key = rotate_key(FederationFolder(StateSettings.find(given, config)))
    said = f"The federation has a new key, {key.short}. Devices follow from the old one."
    progress_console().print(said, soft_wrap=True, markup=False)
