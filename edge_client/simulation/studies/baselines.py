"""Simple baselines: what scikit-learn makes of features pooled over time, without a federation.

They say what a model that learns from frames has to be better than. Folds, normalisation and scores
are those of the other experiments. Nothing is tuned: both classifiers have scikit-learn's defaults,
but weigh the labels alike, as UAR does.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.data import split
from edge_client.simulation.known import document_of, score_by_known
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.start_checks import check_installed
from edge_client.simulation.studies.experiments import BASELINE
from edge_client.simulation.studies.folds import PlannedFold, execute_folds, planned_folds
from edge_client.simulation.studies.pretrained_file import check_begins_unheard
from edge_client.simulation.summary import summarise
from edge_client.simulation.utterances import Utterances
from shared.errors import SettingsError
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion
from shared.training import Examples

if TYPE_CHECKING:
    from rich.console import Console

Answer = Callable[[Examples], NDArray[np.int64]]
"""Gives the label of each of some normalised utterances, as places: shape ``(n,)``."""

PERCENTILES: Final = (10, 25, 50, 75, 90)
"""Of each feature over an utterance's frames, beside mean and standard deviation."""

CLASSIFIERS: Final = ("svm", "logistic")
"""Support vector machine with a radial kernel, and logistic regression."""


class BaselineSettings(DataSettings):
    """What determines the result of one fold."""

    classifier: Literal["svm", "logistic"]
    """What recognises."""


def plan_baselines(
    settings: DataSettings, out: Path, classifiers: Sequence[str]
) -> list[tuple[PlannedFold[BaselineSettings], ...]]:
    """Plan the folds of each classifier.

    Parameters
    ----------
    settings
        Which utterances, and how they are divided.
    out
        Folder of the experiment.
    classifiers
        Some of :data:`CLASSIFIERS`.

    Raises
    ------
    SettingsError
        If there is no such classifier, or the front end may have heard who is tested.
    """
    for name in classifiers:
        if name not in CLASSIFIERS:
            raise SettingsError(
                f"There is no baseline {name}; there are: {', '.join(CLASSIFIERS)}."
            )
    check_begins_unheard(settings)
    return [
        planned_folds(
            BaselineSettings.parse({**settings.model_dump(), "classifier": name}),
            out / f"{name}-{BASELINE}",
        )
        for name in dict.fromkeys(classifiers)
    ]


def execute_baselines(
    plan: Sequence[Sequence[PlannedFold[BaselineSettings]]], console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all folds but those that are finished, and summarise each classifier.

    Returns
    -------
    list of dict
        As :meth:`edge_client.simulation.studies.experiments.Cell.summary` gives them.

    Raises
    ------
    ChorusError
        If a fold cannot be made; those before it are kept.
    """
    folds = [fold for own in plan for fold in own]
    check_installed("matplotlib", "sklearn")
    if any(fold.settings.augment_waveforms for fold in folds):
        check_installed("librosa")
    results = execute_folds(folds, _made, console, overwrite=overwrite)
    rest = iter(results)
    return [
        {
            "model": own[0].settings.classifier,
            "column": BASELINE,
            **summarise(list(islice(rest, len(own)))),
        }
        for own in plan
    ]


def _made(utterances: Utterances, fold: PlannedFold[BaselineSettings]) -> dict[str, Any]:
    result = recognise(utterances, fold.settings)
    return {**summarise([result]), **result}


def recognise(utterances: Utterances, settings: BaselineSettings) -> dict[str, Any]:
    """Train a classifier on a fold's training set, and test it on the fold."""

    def fitted(train: Examples) -> Answer:
        classifier = _classifier(settings.classifier).fit(pooled(train), train.labels)
        return lambda some: classifier.predict(pooled(some))

    return tested(utterances, settings, fitted)


def tested(
    utterances: Utterances, settings: DataSettings, fit: Callable[[Examples], Answer]
) -> dict[str, Any]:
    """Fit what recognises to a fold's training set, and test it on the fold.

    Parameters
    ----------
    utterances
        Of all speakers, not normalised.
    settings
        Which fold, and how features are normalised.
    fit
        Gives, of the training set, what answers.

    Returns
    -------
    dict
        The scores, and what :func:`edge_client.simulation.summary.summarise` reads.
    """
    begun = time.monotonic()
    parts = split(utterances, settings)
    examples = normalise(
        utterances,
        parts.train,
        settings.normalisation,
        front_end_of(settings.task.front_end),
    )
    answer = fit(examples.take(utterances.with_copies(parts.train)))
    names = settings.task.names

    def score(some: Examples) -> Scores:
        return Scores.from_confusion(confusion(some.labels, answer(some), len(names)), names)

    found = score_by_known(utterances, parts, examples.take(parts.test), settings, score)
    return {
        "seed": settings.seed,
        "settings": {**settings.model_dump(mode="json"), "rounds": 1},
        "clients": 1,
        "bytes_up_per_round": 0,
        "seconds": time.monotonic() - begun,
        **found[settings.known].to_dict(),
        "known": document_of(found),
    }


def pooled(examples: Examples) -> NDArray[np.float64]:
    """Describe each utterance by how its features are spread over its true frames.

    Parameters
    ----------
    examples
        Normalised; features of shape ``(n, L, features)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 7 * features)``: mean, standard deviation, :data:`PERCENTILES`.
    """
    rows = []
    for padded, count in zip(examples.features, examples.frames, strict=True):
        frames = padded[:count].astype(np.float64)
        spread = np.percentile(frames, PERCENTILES, axis=0)
        rows.append(np.concatenate([frames.mean(axis=0), frames.std(axis=0), spread.ravel()]))
    return np.array(rows)


def _classifier(name: str) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if name == "svm":
        return make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)
    )
