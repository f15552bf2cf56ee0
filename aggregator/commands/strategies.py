"""``aggregator strategies``: which strategies there are, and their options."""

from typing import Annotated, Any

import typer


def strategies(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON on standard output.")
    ] = False,
) -> None:
    """List the strategies of aggregation, what each is, and its options with their defaults.

    Those of installed packages are listed too.

    Example: aggregator strategies --json
    """
    import inspect
    import json

    from rich.table import Table

    from aggregator.strategies import STRATEGIES, strategy_options
    from shared.command import answer_console
    from shared.errors import SettingsError

    listed: list[dict[str, Any]] = []
    for name in STRATEGIES:
        try:
            strategy = STRATEGIES.get(name)
        except (
            SettingsError
        ) as error:  # a package's that cannot be used is no reason to say no more
            listed.append({"name": name, "summary": error.problem, "options": {}})
            continue
        # The head of a file of ours names the paper.
        about = inspect.getdoc(inspect.getmodule(strategy)) or inspect.getdoc(strategy) or ""
        options = {
            option: None if parameter.default is parameter.empty else parameter.default
            for option, parameter in strategy_options(name).items()
        }
        listed.append({"name": name, "summary": about.partition("\n")[0], "options": options})
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    table = Table("strategy", "what it is", "options and defaults")
    for entry in listed:
        options = entry["options"].items()
        shown = "\n".join(f"{name} {'' if value is None else value}" for name, value in options)
        table.add_row(entry["name"], entry["summary"], shown)
    answer_console().print(table)
