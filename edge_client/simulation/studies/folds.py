"""The folds of a study that trains in one place: planned, made once each, and resumed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edge_client.simulation.data import split
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.cells import Step, execute_steps
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
    given: Callable[[Utterances, S], Mapping[str, str]] = lambda *_: {},
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
    given
        Gives the digests of what determines a fold beside its utterances and settings, by a name;
        raises what keeps it from being made.

    Raises
    ------
    ChorusError
        If a fold cannot be made; those before it are kept. Nothing is written before all can start.
    """
    corpora = Corpora(console)

    def clips(fold: PlannedFold[S]) -> str:
        utterances = corpora.get(fold.settings)
        split(utterances, fold.settings)
        return utterances.digest

    def made(fold: PlannedFold[S]) -> dict[str, Any]:
        return make(corpora.get(fold.settings), fold)

    def others(fold: PlannedFold[S]) -> Mapping[str, str]:
        return given(corpora.get(fold.settings), fold.settings)

    steps = [
        Step(
            f"{fold.folder.parent.name}  fold {fold.settings.fold}",
            RunFolder(fold.folder),
            fold.settings,
            partial(clips, fold),
            partial(made, fold),
            partial(others, fold),
        )
        for fold in folds
    ]
    return execute_steps(steps, console, overwrite=overwrite)
