"""What noise, rooms, telephones and wrong levels cost a trained model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import Engine
from edge_client.simulation.data import Split, split
from edge_client.simulation.degradations import CLEAN, degraded_clips
from edge_client.simulation.engines import Engines
from edge_client.simulation.known import score_by_known
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.simulating import SimulationResult
from edge_client.simulation.studies.experiments import BASELINE, Collect, experiment_one
from edge_client.simulation.study import Corpora, execute
from edge_client.simulation.utterances import Utterances, clips_of
from shared.command.progress import bar_on
from shared.corpora import Clip
from shared.errors import RunError, SettingsError
from shared.features.cache import extract_features
from shared.features.labelled_clips import together
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion
from shared.training import Examples

if TYPE_CHECKING:
    from rich.console import Console

Counts = dict[str, dict[str, NDArray[np.int64]]]
"""Confusions by condition, and by what is known of a speaker."""


def trained(
    collect: Collect, preset: str, models: Path, model: str, console: "Console"
) -> list[SimulationResult]:
    """Train the models to be tested, without federation: one for each fold of speakers.

    Those that are there already are used.

    Raises
    ------
    ChorusError
        If a model cannot be trained.
    """
    (cell,) = experiment_one(collect, preset, models, [model], [BASELINE], 1)
    execute(cell.plan, console, resume=True)
    return [SimulationResult.read(planned.folder) for planned in cell.plan]


def finished_run(
    folder: Path, given: Mapping[str, Any], config: Path | None
) -> list[SimulationResult]:
    """Read the run to be tested.

    Raises
    ------
    RunError
        If the folder holds no finished run.
    SettingsError
        If settings are given, too: the run has its own.
    """
    if config or any(value is not None for value in given.values()):
        raise SettingsError(
            f"The run in {folder} has its own settings.", "Leave out all settings beside --run."
        )
    return [SimulationResult.read(folder)]


def finished_runs(
    folders: Sequence[Path], given: Mapping[str, Any], config: Path | None
) -> list[SimulationResult]:
    """Read the runs to be tested together.

    Raises
    ------
    RunError
        If a folder holds no finished run.
    SettingsError
        If settings are given, too, the runs differ in more than seed and fold, or two are the same.
    """
    results = [one for folder in folders for one in finished_run(folder, given, config)]
    alike = {"seed": 0, "fold": 1}
    if len({one.settings.model_copy(update=alike).model_dump_json() for one in results}) > 1:
        raise SettingsError(
            "The runs differ in more than seed and fold.",
            "Give the folds and seeds of one study to --run.",
        )
    runs = [(one.settings.seed, one.settings.fold) for one in results]
    if len(set(runs)) < len(runs):
        raise SettingsError(
            "Two of the runs are the same one: seed and fold are equal.", "Name one of them only."
        )
    return results


def study(
    results: Sequence[SimulationResult], conditions: Sequence[str], console: "Console"
) -> Counts:
    """Test finished runs on their own test utterances, in each condition.

    A device that hears noise has heard it all along: its statistics are those of utterances in the
    same condition. Those of a corpus stay those of the clean training set.

    Parameters
    ----------
    results
        Of runs of one task that differ in seed and fold only; their confusions are added.
    conditions
        Names, as in :data:`edge_client.simulation.degradations.CONDITIONS`; ``clean`` comes first
        in any case.
    console
        For progress.

    Raises
    ------
    ChorusError
        If a corpus is not there, is not that of a run any more, or a clip cannot be degraded.
    """
    names = list(dict.fromkeys((CLEAN, *conditions)))
    corpora, engines = Corpora(console), Engines()
    counts: Counts = {name: {} for name in names}
    steps = [(result, name) for result in results for name in names]
    with bar_on(console) as bar:
        for result, name in bar.track(steps, description="conditions"):
            settings = result.settings
            engine = engines.get(settings)[0]
            found = _test(result, corpora.get(settings), name, engine)
            for known, matrix in found.items():
                counts[name][known] = counts[name].get(known, 0) + matrix
            right = np.trace(found[settings.known]) / found[settings.known].sum()
            title = f"fold {settings.fold}  {name}  accuracy {right:.3f}"
            console.print(title)
    return counts


def _test(
    result: SimulationResult, utterances: Utterances, condition: str, engine: Engine
) -> dict[str, NDArray[np.int64]]:
    """Test one run in one condition."""
    settings, front_end = result.settings, front_end_of(result.task.front_end)
    parts = split(utterances, settings)
    tested = tested_clips(result, utterances)
    changed = degraded_clips(tested, condition, settings.seed)
    computed = extract_features(changed, front_end, progress=False)
    heard = Examples(computed.features, computed.frames, computed.labels(result.task))
    # One that is not audible any more is missing.
    left = {clip.identifier for clip in computed.clips}
    kept = [i for i in parts.test if utterances.clips[i] in left]
    whole = Utterances(
        together([utterances.examples.take(parts.train), heard]),
        np.concatenate([utterances.speakers[parts.train], utterances.speakers[kept]]),
        (),
        copies=utterances.take(parts.train).copies,
    )
    places = np.arange(len(whole.speakers))
    noisy = Split(places[: len(parts.train)], np.empty(0, np.int64), places[len(parts.train) :])
    normal = normalise(whole, noisy.train, settings.normalisation, front_end).take(noisy.test)
    return score_by_known(whole, noisy, normal, settings, partial(_count, result, engine))


def tested_clips(result: SimulationResult, utterances: Utterances) -> list[Clip]:
    """Give the clips that a run is tested on, in the order of its test.

    Raises
    ------
    RunError
        If its test had another number of clips: its model may have heard these.
    """
    settings = result.settings
    test = split(utterances, settings).test
    if (count := result.document["utterances"]["test"]) != len(test):
        raise RunError(
            f"The run's test had {count} clips, and by its settings there are {len(test)} now.",
            "Put its clips back, or make it again: its model may have heard these. (So it is with "
            "each run of experiment speakers that an earlier version has made.)",
        )
    corpus, data = settings.corpus, settings.data
    if settings.test_corpus is not None:
        corpus, data = settings.test_corpus, settings.test_data
    named = {clip.identifier: clip for clip in clips_of(settings, corpus, data)}
    return [named[identifier] for identifier in utterances.clips[test]]


def _count(result: SimulationResult, engine: Engine, examples: Examples) -> NDArray[np.int64]:
    logits = engine.logits(result.weights, examples.features, examples.frames)
    return confusion(examples.labels, logits.argmax(1), len(result.task.labels))


def scores_of(counts: Counts, names: Sequence[str]) -> dict[str, dict[str, Scores]]:
    """Score each condition, for all that may be known of a speaker."""
    return {
        condition: {known: Scores.from_confusion(own, names) for known, own in found.items()}
        for condition, found in counts.items()
    }


def rows_of_noise(scores: Mapping[str, Mapping[str, Scores]], known: str) -> list[list[str]]:
    """Lay out a table: a row a condition; the first row is the header.

    Parameters
    ----------
    scores
        From :func:`scores_of`.
    known
        What is known of a speaker where accuracy, and the loss against clean speech, are told.
    """
    cases = list(scores[CLEAN])
    header = ["condition", f"accuracy, {known} known", f"UAR against clean, {known} known"]
    rows = [[*header, *(f"UAR, {case} known" for case in cases)]]
    for condition, own in scores.items():
        change = own[known].uar - scores[CLEAN][known].uar
        uars = [f"{own[case].uar:.3f}" for case in cases]
        rows.append([condition, f"{own[known].accuracy:.3f}", f"{change:+.3f}", *uars])
    return rows
