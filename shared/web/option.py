"""The option ``--web [HOST:PORT]`` of a command."""

from itertools import pairwise
from typing import Any

from typer.core import TyperCommand


def command_with_page(address: str) -> type[TyperCommand]:
    """Let ``--web`` stand alone, for which Typer has no way of its own.

    Parameters
    ----------
    address
        What it then stands for.
    """

    class CommandWithPage(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            whole = []
            for word, after in pairwise([*args, "-"]):
                whole.append(word)
                if word == "--web" and after.startswith("-"):
                    whole.append(address)
            return super().parse_args(ctx, whole)

    return CommandWithPage
