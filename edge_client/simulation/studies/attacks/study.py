"""All attacks on a corpus: what each gains by each defence, beside what guessing gains."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.simulation.engines import Engines
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.start_checks import check_installed, check_parts
from edge_client.simulation.studies.attacks.rebuilding import SIZES, reconstruct
from edge_client.simulation.studies.attacks.settings import LeakageSettings
from edge_client.simulation.studies.attacks.telling import infer
from edge_client.simulation.studies.attacks.victims import Row, Track, Victims
from edge_client.simulation.studies.cells import Step, execute_steps
from edge_client.simulation.study import Corpora
from shared.command.progress import tracker
from shared.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console

KINDS: Final[dict[str, Callable[[Victims, Track], dict[str, Row]]]] = {
    "inferences": infer,
    "reconstruction": reconstruct,
}
"""What is attacked for, and what does it."""

COLUMNS: Final = {
    "inferences": {
        "gender": "gender",
        "speaker": "speaker recognised again",
        "member": "utterance was trained on",
        "labels": "labels counted",
    },
    "reconstruction": {
        str(size): f"features of {size}" if size > 1 else "features of 1 example" for size in SIZES
    },
}
"""By kind, what the tables call each attack."""


def measure(
    settings: LeakageSettings,
    kinds: Sequence[str],
    out: Path,
    console: "Console",
    *,
    overwrite: bool = False,
) -> dict[str, dict[str, Row]]:
    """Make all attacks but those that were made before.

    Parameters
    ----------
    settings
        What is attacked.
    kinds
        Some of :data:`KINDS`.
    out
        Each kind's result is kept in a folder of its own below this one.
    console
        For progress.
    overwrite
        Whether to make them anew.

    Returns
    -------
    dict
        By kind, and by defence, what each attack gains; the first defence is :data:`CHANCE`.

    Raises
    ------
    ChorusError
        If the corpus does not suffice, or something is missing; finished kinds are kept.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError(f"There is no attack {kind}; there are: {', '.join(KINDS)}.")
    check_parts(settings)
    check_installed("matplotlib", "sklearn", "dp_accounting")

    @cache
    def victims() -> Victims:
        return Victims(settings, Corpora(console).get(settings), Engines().get(settings)[0])

    def made(kind: str) -> dict[str, Any]:
        with tracker(shown=not console.quiet) as bar:
            return {"gained": KINDS[kind](victims(), partial(bar.track, description=kind))}

    steps = [
        Step(
            kind,
            RunFolder(out / kind),
            settings,
            lambda: victims().utterances.digest,
            partial(made, kind),
            lambda: victims().begin_with,
        )
        for kind in dict.fromkeys(kinds)
    ]
    results = execute_steps(steps, console, overwrite=overwrite)
    return {step.title: own["gained"] for step, own in zip(steps, results, strict=True)}


def rows_of_attacks(gained: Mapping[str, Row], kind: str) -> list[list[str]]:
    """Lay out what the attacks of one kind gain: a row a defence; the first is the header."""
    heads = COLUMNS[kind]
    rows = [["defence", *heads.values()]]
    for name, own in gained.items():
        values = [own.get(key) for key in heads]
        rows.append([name, *("" if value is None else f"{value:.2f}" for value in values)])
    return rows
