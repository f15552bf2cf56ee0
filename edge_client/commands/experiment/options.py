"""Options that several of ``edge-client experiment`` have."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="Folder for all results, the tables and the pictures.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with any of the settings below.")]
Preset = Annotated[
    str, typer.Option(help="paper (its protocol, no normalisation) or best (our settings).")
]
Seeds = Annotated[
    int, typer.Option(min=1, max=1000, help="How often all is done, with seeds from --seed on.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin anew, do not resume.")]
Write = Annotated[
    Path | None, typer.Option(help="Document to put the tables in, between their marks.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
