"""What every command line of the project has in common.

Answers go to standard output, everything else (progress, remarks, errors) to standard error.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from shared.errors import ChorusError

if TYPE_CHECKING:
    import typer
    from rich.console import Console

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


def progress_console() -> "Console":
    """Open the console for progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def log_to_stderr() -> None:
    """Write the log of this process to standard error, one line each, for people and journals."""
    import logging

    from shared.log_bound import LogBound, ShortLines

    # A journal stamps its lines itself.
    form = "%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s  %(message)s"
    logging.basicConfig(level=logging.WARNING, force=True)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(ShortLines(form, "%H:%M:%S"))
        handler.addFilter(LogBound())
    for package in ("aggregator", "edge_client", "shared"):
        logging.getLogger(package).setLevel(logging.INFO)


def run(app: "typer.Typer") -> NoReturn:
    """Run a command line; print an error its user can fix as a sentence, not as a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text; as on standard error, it is written all the same.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except ChorusError as error:
        report(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`... | head`). Keep Python from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(0)


def report(error: ChorusError) -> None:
    """Print an error and its remedy to standard error."""
    console = progress_console()
    console.print(f"[bold red]error:[/] {_plain(error.problem)}", soft_wrap=True)
    if error.remedy:
        console.print(_plain(error.remedy), soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
