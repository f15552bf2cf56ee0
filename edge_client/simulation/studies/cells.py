"""Results that an experiment makes one after the other, each kept in a folder of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edge_client.simulation.run_folder import RunFolder, claim_all
from shared.command.progress import bar_on
from shared.errors import ChorusError
from shared.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Cell = TypeVar("Cell", bound=Settings)


@dataclass(frozen=True, slots=True)
class Step:
    """A result to be made.

    Attributes
    ----------
    title
        What progress calls it.
    folder
        Where it is kept.
    settings
        What determines it.
    clips
        Gives the digest of all clips; raises what keeps the result from being made.
    make
        Makes it: a document, with ``uar`` if that is what it comes to.
    given
        Gives the digests of what else determines it, by the settings or the kinds that name them.
    """

    title: str
    folder: RunFolder
    settings: Settings
    clips: Callable[[], str]
    make: Callable[[], dict[str, Any]]
    given: Callable[[], Mapping[str, str]] = dict


def execute_cells(
    cells: Mapping[str, Cell],
    make: Callable[[Cell], dict[str, Any]],
    clips: str,
    out: Path,
    console: "Console",
    *,
    overwrite: bool,
    given: Mapping[str, str] = {},
) -> list[dict[str, Any]]:
    """Make all results but those that are there.

    Parameters
    ----------
    cells
        What determines each result, by the name of its folder.
    make
        Makes one: a document with ``uar``.
    clips
        The digest of all clips: results of others are not gone on with.
    out
        Folder of the experiment.
    console
        For progress.
    overwrite
        Whether to begin anew.
    given
        The digests of the files that settings name: nor are results of others.

    Raises
    ------
    ChorusError
        If one cannot be made, or is of other settings, clips or files; those before it are kept.
    """
    steps = [
        Step(name, RunFolder(out / name), cell, lambda: clips, partial(make, cell), lambda: given)
        for name, cell in cells.items()
    ]
    return execute_steps(steps, console, overwrite=overwrite)


def execute_steps(
    steps: Sequence[Step], console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all results but those that are there; nothing is written before all can start.

    Parameters
    ----------
    steps
        What to make, in order.
    console
        For progress.
    overwrite
        Whether to begin anew.

    Raises
    ------
    ChorusError
        If one cannot be made, or is of other settings, clips or files; those before it are kept.
    """
    for step in steps:
        step.folder.check(step.settings, resume=not overwrite, overwrite=overwrite)
    digests = [(step.clips(), dict(step.given())) for step in steps]
    runs = [(step.folder, step.settings) for step in steps]
    claim_all(runs, resume=not overwrite, overwrite=overwrite)
    results = []
    with bar_on(console) as bar:
        planned = list(zip(steps, digests, strict=True))
        for step, (clips, given) in bar.track(planned, description="results"):
            with step.folder.locked():
                step.folder.check_own(step.settings)
                result = step.folder.read_result()
                if result is None:
                    result = _made(step) | {"clips": clips, "files": given}
                    step.folder.write_result(result)
                    reached = f"  UAR {result['uar']:.3f}" if "uar" in result else ""
                    console.print(f"{step.title}{reached}")
                else:
                    step.folder.check_begun_with(result, clips, given)
            results.append(result)
    return results


def _made(step: Step) -> dict[str, Any]:
    """Make a result; an error says of which it is."""
    try:
        return step.make()
    except ChorusError as error:
        error.problem = f"{step.title}: {error.problem}"
        raise
