"""What every command line of the project has in common.

Answers go to standard output, everything else (progress, remarks, errors) to standard error.
"""

import ast
import errno
import importlib
import io
import os
import sys
from importlib.resources import files
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final, NoReturn

from shared.errors import ChorusError, StorageError
from shared.validation import what_is_wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer
    from rich.console import Console
    from typer.core import TyperGroup

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

_OF_DISKS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a disk, or whatever output goes to, says of a name that is not known any more."""

_BESIDE_NAMES: Final = 46
"""Columns that a table of options needs besides their names: for kinds, frames and a text."""


def progress_console(*, quiet: bool = False) -> "Console":
    """Open the console for progress and remarks; a path or a name in them is shown as it is.

    A quiet one shows nothing.
    """
    from rich.console import Console

    # A bar would take standard output to itself, even where it is not shown.
    terminal = False if quiet else None
    return Console(
        stderr=True,
        highlight=False,
        markup=False,
        emoji=False,
        quiet=quiet,
        force_terminal=terminal,
    )


def answer_console(width: int | None = None) -> "Console":
    """Open the console for answers; a path or a name in them is shown as it is.

    Parameters
    ----------
    width
        Columns; those of the terminal if not given.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=width)


def log_to_stderr() -> None:
    """Write the log of this process to standard error, one line each, for people and journals."""
    import logging

    from shared.command.log_bound import LogBound, ShortLines

    # A journal stamps its lines itself.
    form = "%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s  %(message)s"
    logging.basicConfig(level=logging.WARNING, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(ShortLines(form, "%H:%M:%S"))
        handler.addFilter(LogBound())
    for package in ("aggregator", "edge_client", "shared"):
        logging.getLogger(package).setLevel(logging.INFO)


def group_of(places: "Mapping[str, str]") -> "type[TyperGroup]":
    """Make a group of commands whose modules are loaded when they are asked for.

    Its help takes a line of each from the module's text. A module's class ``Command``, if it has
    one, makes its command.

    Parameters
    ----------
    places
        By name, in the order of the help: ``package.module:name`` of a function or a Typer app.
    """
    import typer
    from typer.core import TyperCommand, TyperGroup
    from typer.main import get_group

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            lines = {name: TyperCommand(name, help=_help(place)) for name, place in places.items()}
            super().__init__(**{**settings, "commands": lines})

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, _, rest = super().resolve_command(ctx, args)
            return name, name and self.load(name), rest

        def invoke(self, ctx: Any) -> Any:
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
                from pydantic import ValidationError

                if isinstance(error.__cause__, ValidationError):
                    error.message = f"{what_is_wrong(error.__cause__.errors()[0])}."
                raise

        def load(self, name: str) -> Any:
            """Import a command, whole."""
            place, _, attribute = places[name].partition(":")
            module = importlib.import_module(place)
            own, found = typer.Typer(rich_markup_mode=self.rich_markup_mode), vars(module)
            if isinstance(found[attribute], typer.Typer):
                own.add_typer(found[attribute], name=name)
            else:
                own.command(name, cls=found.get("Command"))(found[attribute])
            command = get_group(own).commands[name]
            _fit_help(command)
            return command

    return Group


def _fit_help(command: Any) -> None:
    """Let a command's help be a plain list where a table would cut the names of its options."""
    for below in getattr(command, "commands", {}).values():
        _fit_help(below)
    names, contrary = (
        max((len(name) for option in command.params for name in getattr(option, part)), default=0)
        for part in ("opts", "secondary_opts")
    )
    if names + contrary + _BESIDE_NAMES > get_terminal_size().columns:
        command.rich_markup_mode = None


def _help(place: str) -> str:
    """Read what a function's docstring, or a Typer app's ``help``, says; nothing is imported."""
    module, _, attribute = place.partition(":")
    package, _, name = module.rpartition(".")
    source = files(package).joinpath(f"{name}.py").read_text("utf-8")
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=found) if found == attribute:
                return ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Call(keywords=given)):
                if found == attribute:
                    return str(*(ast.literal_eval(one.value) for one in given if one.arg == "help"))
    raise LookupError(f"{place} has no text for its help")


def run(app: "typer.Typer") -> NoReturn:
    """Run a command line; print an error its user can fix as a sentence, not as a traceback."""
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # else `~` would be the root of all files
    _open_what_is_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text; as on standard error, it is written all the same.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # what does not fit is said here, and not at Python's own end
    except ChorusError as error:
        report(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`... | head`).
        write_no_more()
        sys.exit(1)
    except OSError as error:
        if error.filename is not None:
            # A name that is too long, a folder above that may not be looked into: anywhere.
            why = StorageError(
                f"Cannot use {error.filename}: {error.strerror}.", StorageError.remedy_of(error)
            )
        elif error.errno in _OF_DISKS:
            write_no_more()
            why = StorageError(
                f"The disk has failed, or is full: {error.strerror}.",
                "Look at where the output goes, and at the disk.",
            )
        else:
            raise
        report(why)
        sys.exit(why.exit_code)
    sys.exit(0)


def _open_what_is_closed() -> None:
    """Let standard input, output and error lead nowhere that were closed by whoever started this.

    The next file to be opened would get the number of one, and all that a library writes there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 -- it stays open


def write_no_more() -> None:
    """Keep Python from flushing, at its end, into standard output that takes nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: ChorusError) -> None:
    """Print an error and its remedy to standard error."""
    from rich.text import Text

    console = progress_console()
    console.print(Text.assemble(("error:", "bold red"), f" {error.problem}"), soft_wrap=True)
    if error.remedy:
        console.print(error.remedy, soft_wrap=True)
