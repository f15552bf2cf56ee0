"""``aggregator models``: the global models of a federation: list, export, roll back, ancestry."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.round_settings import MOST_ROUNDS
from shared.settings import options_of

if TYPE_CHECKING:
    from aggregator.ledger import History

models = typer.Typer(help="List, show, export and roll back to models.", no_args_is_help=True)

AsJson = Annotated[
    bool, typer.Option("--json", help="Print the answer as JSON on standard output.")
]
OfRound = Annotated[
    int | None,
    typer.Argument(
        metavar="ROUND",
        min=0,
        max=MOST_ROUNDS,
        help="The model after this round; the current one if not given.",
    ),
]


@models.command("list")
@options_of(StateSettings)
def list_models(*, given: dict[str, Any], config: Config = None, as_json: AsJson = False) -> None:
    """List all models, the newest first, with their digests, scores, and whether files are kept.

    Example: aggregator models list --json
    """
    import json

    from aggregator.commands.report import models_of
    from aggregator.commands.tables import models_table
    from aggregator.ledger.model_files import files_of
    from shared.command import answer_console

    with _history(given, config) as history:
        found = models_of(history, files_of(history))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        answer_console().print(models_table(found))


@models.command()
@options_of(StateSettings)
def show(
    *,
    given: dict[str, Any],
    number: OfRound = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show where a model comes from, back to the first: rounds, clients, updates, settings.

    Example: aggregator models show 12 --json
    """
    import json

    from aggregator.commands.report import ancestry_of
    from aggregator.commands.tables import ancestry_table
    from shared.command import answer_console

    with _history(given, config) as history:
        found = ancestry_of(history, history.find(number))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        answer_console().print(ancestry_table(found))


@models.command()
@options_of(StateSettings)
def export(
    *,
    given: dict[str, Any],
    number: OfRound = None,
    config: Config = None,
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("model.safetensors"),
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="The round's own weights, even where a running average is kept."
        ),
    ] = False,
) -> None:
    """Write a model as safetensors; where a running average is kept, that.

    What devices' statistics begin with, if the federation hands it out, goes beside it.

    Example: aggregator models export 12 --out round-12.safetensors
    """
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder
    from aggregator.ledger.model_files import files_of
    from shared.command import progress_console
    from shared.storage.files import refuse_replacing

    folder = FederationFolder(StateSettings.find(given, config))
    refuse_replacing(folder.lasting(), [out])
    with History(folder.ledger) as history:
        version = history.find(number)
        digest = version.digest if raw else version.exported
        start = files_of(history).export(digest, out, version.statistics)
    console = progress_console()
    console.print(
        f"The model of round {version.round} ({digest[:12]}) is in {out}.", soft_wrap=True
    )
    if start:
        console.print(f"What its devices' statistics begin with is in {start}.", soft_wrap=True)


@models.command()
@options_of(StateSettings)
def rollback(
    *,
    given: dict[str, Any],
    number: Annotated[
        int,
        typer.Argument(
            metavar="ROUND", min=0, max=MOST_ROUNDS, help="Go back to the model after this round."
        ),
    ],
    config: Config = None,
) -> None:
    """Make an earlier model the current one; the next round starts from it.

    Stop `aggregator serve` first. Nothing is forgotten: the ledger notes the step.

    Example: aggregator models rollback 12
    """
    from aggregator.ledger.folder import FederationFolder
    from aggregator.ledger.rollback import roll_back
    from shared.command import progress_console

    version = roll_back(FederationFolder(StateSettings.find(given, config)), number)
    progress_console().print(
        f"The model of round {version.round} ({version.digest[:12]}) is the current one.",
        soft_wrap=True,
    )


def _history(given: dict[str, Any], config: Path | None) -> "History":
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder

    return History(FederationFolder(StateSettings.find(given, config)).ledger)
