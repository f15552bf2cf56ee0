"""``edge-client corpora``: which corpora there are, and how to obtain them."""

from typing import Annotated

import typer

WIDTH = 80
"""Columns of the listing: those of a terminal that nobody has widened."""


def corpora(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON on standard output.")
    ] = False,
) -> None:
    """List the speech corpora, their licences, where to obtain them and the files expected.

    Those of installed packages are listed too.

    Example: edge-client corpora --json
    """
    import json
    from dataclasses import asdict, replace

    from shared.corpora import CORPORA, CorpusInfo
    from shared.errors import SettingsError

    listed = []
    for name in CORPORA:
        try:
            listed.append(replace(CORPORA.get(name).info, name=name))
        except SettingsError as error:  # of one package: the others are listed all the same
            listed.append(CorpusInfo(name, "cannot be used", error.problem, "", "", ""))
    if as_json:
        typer.echo(json.dumps([asdict(info) for info in listed], indent=2, ensure_ascii=False))
        return
    for info in listed:
        typer.echo(f"{info.name}  -  {info.title}")
        for heading, text in (
            ("", info.description),
            ("licence: ", info.licence),
            ("obtain:  ", info.obtain),
        ):
            if text:
                typer.echo(_paragraph(heading, text))
        if info.tree:
            typer.echo("  files below --data:")
            for line in info.tree.splitlines():
                typer.echo(f"    {line}")
        typer.echo()


def _paragraph(heading: str, text: str) -> str:
    import textwrap

    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {heading}",
        subsequent_indent=" " * (2 + len(heading)),
        break_long_words=False,
        break_on_hyphens=False,
    )
