"""``aggregator keys``: what the aggregator of a federation by invitation signs with."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of

_MOST = (1 << 53) - 2
"""The number after it is the largest that a key can have."""

keys = typer.Typer(
    help="The key that the aggregator signs with, and a root above it.", no_args_is_help=True
)


@keys.command()
@options_of(StateSettings)
def rotate(
    *,
    given: dict[str, Any],
    issued: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sign with the key that a root has issued."),
    ] = None,
    config: Config = None,
) -> None:
    """Sign with a new key from now on; devices learn it by a statement of the old one.

    Devices that were invited since there is a root go by what the root says, and by nothing else. A
    running `aggregator serve` does so within a second. A device that is away follows when it is
    back. Links that are not used yet stay good.

    Example: aggregator keys rotate
    """
    from aggregator.enrolment.rotation import rotate as rotate_key
    from aggregator.ledger.folder import FederationFolder

    key = rotate_key(FederationFolder(StateSettings.find(given, config)), issued)
    if issued is None:
        _say(f"The federation has a new key, {key.short}. Devices follow from the old one.")
    else:
        _say(f"The federation signs with the key {key.short}. Remove {issued}: it holds the key.")


@keys.command()
def root(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
) -> None:
    """Make a root: a key that issues the aggregator's keys, and is kept away from it.

    Do this on a machine that no device reaches, on a medium that goes into a drawer. Make a copy.

    Example: aggregator keys root /media/stick/root.pem
    """
    from aggregator.enrolment.rotation import make_root

    key = make_root(file)
    _say(f"{file} holds a root, {key.short}. Keep it, and a copy, where the aggregator is not.")


@keys.command()
def issue(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="What `keys root` has made.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    *,
    federation: Annotated[str, typer.Option(help="Which federation it is for.")] = "chorus",
    after: Annotated[int, typer.Option(min=0, max=_MOST, help="Give a larger number.")] = 0,
) -> None:
    """Issue a key to sign with, in a file for `aggregator keys rotate --issued`.

    Its number is the time by this machine's clock. Devices believe later ones only.

    Example: aggregator keys issue /media/stick/root.pem /media/stick/next.pem
    """
    import shlex

    from aggregator.enrolment.rotation import issue_key

    made = issue_key(root, file, federation, after)
    number = made.issued.number if made.issued else 0
    _say(f"{file} holds the key {made.key.public.short}, number {number}, for {federation}.")
    _say(f"Carry it to the aggregator: aggregator keys rotate --issued {shlex.quote(file.name)}")


def _say(sentence: str) -> None:
    from shared.command import progress_console

    progress_console().print(sentence, soft_wrap=True)
