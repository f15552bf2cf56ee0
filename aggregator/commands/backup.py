"""``aggregator backup`` and ``restore``: a federation in one file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of


@options_of(StateSettings)
def backup(
    *,
    given: dict[str, Any],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    config: Config = None,
) -> None:
    """Copy the federation, its ledger and its models, into a file; it may be served meanwhile.

    Example: aggregator backup kitchen-2026-11-28.tar
    """
    from aggregator.ledger.backup import back_up
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console

    made = back_up(FederationFolder(StateSettings.find(given, config)), file)
    progress_console().print(
        f"The federation {made.federation}, after round {made.round}, is in {file}.",
        soft_wrap=True,
    )


@options_of(StateSettings)
def restore(
    *,
    given: dict[str, Any],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    config: Config = None,
) -> None:
    """Put a federation back from a file, into a state folder that holds nothing.

    Its devices are told that it is another run, and go on with it. A round that was under way is
    given up.

    Example: aggregator restore kitchen-2026-11-28.tar --state /var/lib/chorus-aggregator
    """
    from aggregator.ledger.backup import restore as put_back
    from aggregator.ledger.folder import FederationFolder
    from aggregator.settings import AggregatorSettings
    from shared.command import progress_console

    folder = FederationFolder(StateSettings.find(given, config))
    found = put_back(file, folder)
    known = {name: found.settings.get(name) for name in AggregatorSettings.model_fields}
    given = {name: value for name, value in known.items() if value is not None}
    served = AggregatorSettings.parse({**given, "state": folder.path})
    progress_console().print(
        f"The federation {found.federation} is in {folder.path}, after round {found.round}. "
        "Start it with its settings, and those of its broker:\n"
        f"aggregator serve {served.to_options()}",
        soft_wrap=True,
    )
