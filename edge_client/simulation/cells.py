"""Results that an experiment makes one after the other, each kept in a folder of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edge_client.simulation.run_folder import RunFolder
from shared.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

Cell = TypeVar("Cell", bound=Settings)


def execute_cells(
    cells: Mapping[str, Cell],
    make: Callable[[Cell], dict[str, Any]],
    clips: str,
    out: Path,
    console: "Console",
    *,
    overwrite: bool,
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

    Raises
    ------
    ChorusError
        If one cannot be made, or is of other settings or clips; those before it are kept.
    """
    from rich.progress import Progress

    steps = [(name, cell, RunFolder(out / name)) for name, cell in cells.items()]
    for _, cell, folder in steps:
        folder.check(cell, resume=not overwrite, overwrite=overwrite)
    for _, cell, folder in steps:
        folder.claim(cell, resume=not overwrite, overwrite=overwrite)
    results = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for name, cell, folder in bar.track(steps, description="results"):
            with folder.locked():
                folder.check_own(cell)
                result = folder.read_result()
                if result is None:
                    result = {"clips": clips, **make(cell)}
                    folder.write_result(result)
                    console.print(f"{name}  UAR {result['uar']:.3f}", markup=False)
                else:
                    folder.check_clips(result.get("clips", ""), clips)
            results.append(result)
    return results
