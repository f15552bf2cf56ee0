"""The folds of a study that trains in one place: planned, made once each, and resumed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edge_client.simulation.data import split
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.study import Corpora
from edge_client.simulation.utterances import Utterances

if TYPE_CHECKING:
    from rich.console import Console

S = TypeVar("S", bound=DataSettings)


@dataclass(frozen=True, slots=True)
class PlannedFold(Generic[S]):
    """A fold to be made.

    Attributes
    ----------
    folder
        Where its files go.
    settings
        What determines its result.
    """

    folder: Path
    settings: S


def planned_folds(settings: S, out: Path) -> tuple[PlannedFold[S], ...]:
    """Plan every fold of some settings, each in a folder of its own; one run where there are none.

    Parameters
    ----------
    settings
        Of all of them but for the fold.
    out
        The folder of their folders.
    """
    if not settings.has_folds:
        return (PlannedFold(out / "run", settings),)
    return tuple(
        PlannedFold(out / f"fold-{fold}", settings.model_copy(update={"fold": fold}))
        for fold in range(1, settings.folds + 1)
    )


def execute_folds(
    folds: Sequence[PlannedFold[S]],
    make: Callable[[Utterances, PlannedFold[S]], dict[str, Any]],
    console: "Console",
    *,
    overwrite: bool,
) -> list[dict[str, Any]]:
    """Make all folds but those that are finished, and give their results in order.

    Parameters
    ----------
    folds
        What to make.
    make
        Makes one: its result, with ``uar``, which is kept as ``result.json``.
    console
        Where progress is shown.
    overwrite
        Whether to make finished ones again.

    Raises
    ------
    ChorusError
        If a fold cannot be made; those before it are kept. Nothing is written before all can start.
    """
    from rich.progress import Progress

    folders = [RunFolder(fold.folder) for fold in folds]
    for fold, folder in zip(folds, folders, strict=True):
        folder.check(fold.settings, resume=not overwrite, overwrite=overwrite)
    corpora = Corpora(console)
    for fold in folds:
        split(corpora.get(fold.settings), fold.settings)
    for fold, folder in zip(folds, folders, strict=True):
        folder.claim(fold.settings, resume=not overwrite, overwrite=overwrite)
    results = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for fold, folder in bar.track(list(zip(folds, folders, strict=True)), description="folds"):
            with folder.locked():
                folder.check_own(fold.settings)
                result = folder.read_result()
                utterances = corpora.get(fold.settings)
                if result is not None:
                    folder.check_clips(result.get("clips", ""), utterances.digest)
                else:
                    result = make(utterances, fold) | {"clips": utterances.digest}
                    folder.write_result(result)
                    title = f"{fold.folder.parent.name}  fold {fold.settings.fold}"
                    console.print(f"{title}  UAR {result['uar']:.3f}", markup=False)
            results.append(result)
    return results
