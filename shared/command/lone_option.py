"""Options whose value may be left out, as in ``--web [HOST:PORT]``."""

from itertools import pairwise
from typing import Any

from typer.core import TyperCommand


def command_with(option: str, alone: str) -> type[TyperCommand]:
    """Let an option stand alone, for which Typer has no way of its own.

    Parameters
    ----------
    option
        Such as ``--web``.
    alone
        The value that it then has.
    """

    class CommandWithLoneOption(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            whole = []
            for word, after in pairwise([*args, "-"]):
                whole.append(word)
                if word == option and after.startswith("-"):
                    whole.append(alone)
            return super().parse_args(ctx, whole)

    return CommandWithLoneOption
