"""What several runs that differ in seed and fold only come to, all together."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.metrics import Scores
from shared.model_notes.calibration import Reliability

SCHEMA: Final = 2
"""Version of what result.json holds, see docs/result-files.md; files without one are of 1."""

METRICS: Final = ("accuracy", "uar", "precision", "recall", "macro_f1")
"""The scores that tables show."""


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give mean and spread over seeds of the scores of runs that differ in seed and fold only.

    The folds of one seed are pooled: their confusions are summed, so that every utterance counts
    once. The spread is the standard deviation over seeds (n - 1).

    Returns
    -------
    dict
        What docs/result-files.md lists as the fields of every result: ``schema``, ``mean``,
        ``std`` (``None`` for one seed) and ``each`` of the scores, ``each_run``, ``known``,
        ``reliability``, ``confusion``, ``labels``, ``seeds``, ``runs``, ``rounds``, ``clients``,
        ``steps``, ``seconds``, ``bytes_up`` and ``bytes_down``.
    """
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        by_seed.setdefault(result["seed"], []).append(result)
    labels = list(results[0]["classes"])
    scores = [pooled_scores(runs) for runs in by_seed.values()]
    known = {
        name: [
            Scores.from_confusion(_pooled([run["known"][name] for run in runs]), labels).uar
            for runs in by_seed.values()
        ]
        for name in results[0].get("known", ())  # results of a program of one's own have none
        if all(name in run.get("known", ()) for run in results)
    }
    each = {metric: [score[metric] for score in scores] for metric in METRICS}
    relied = {name: _relied([run["known"][name] for run in results]) for name in known}
    return {
        "schema": SCHEMA,
        "mean": {metric: fmean(values) for metric, values in each.items()},
        "std": {metric: deviation(values) for metric, values in each.items()},
        "each": each,
        "each_run": [_run_of(result) for result in results],
        "known": {
            name: {"uar": fmean(values), "std": deviation(values), **relied[name]}
            for name, values in known.items()
        },
        **_relied(results),
        "labels": labels,
        "confusion": _pooled(results).tolist(),
        "seeds": list(by_seed),
        "runs": len(results),
        "seconds": sum(result["seconds"] for result in results),
        "rounds": results[0]["settings"]["rounds"],
        "clients": results[0]["clients"],
        "steps": _steps(results[0]),
        "bytes_up": sum(_bytes(result, "up") for result in results) // len(results),
        "bytes_down": sum(_bytes(result, "down") for result in results) // len(results),
    }


def pooled_scores(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Give the scores of runs whose utterances are counted together, by name of the score."""
    found = Scores.from_confusion(_pooled(results), list(results[0]["classes"]))
    return {metric: getattr(found, metric) for metric in METRICS}


def _pooled(results: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
    return np.asarray(sum(np.array(result["confusion"]) for result in results), np.int64)


def _run_of(result: dict[str, Any]) -> dict[str, Any]:
    """Tell of one run what a comparison needs."""
    return {
        "seed": result["seed"],
        "fold": result["settings"].get("fold"),
        **pooled_scores([result]),
        "seconds": result["seconds"],
        "bytes_up": _bytes(result, "up"),
        "bytes_down": _bytes(result, "down"),
    }


def _bytes(result: dict[str, Any], way: str) -> int:
    """Give what all clients of a run send or receive in all rounds; a baseline's is none."""
    return int(result.get(f"bytes_{way}_per_round", 0) * result["settings"]["rounds"])


def _steps(result: dict[str, Any]) -> int | None:
    """Count a client's training steps if it takes part in every round; ``None`` without steps."""
    settings = result["settings"]
    if settings.get("steps"):
        return int(settings["rounds"] * settings["steps"])
    if "batch_size" not in settings:
        return None
    examples = result["utterances"]["train"] / result["clients"]
    batches = math.ceil(examples / settings["batch_size"])
    return int(settings["rounds"] * (settings["epochs"] or 1) * batches)


def _relied(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put together how far the answers of all runs could be relied on, where they all say it."""
    told = [result.get("reliability") for result in results]
    if not all(told):
        return {}
    first, *others = (Reliability.from_dict(own) for own in told if own)
    whole = sum(others, first)
    return {"calibration_error": whole.error, "reliability": whole.to_dict()}


def deviation(values: Sequence[float]) -> float | None:
    """Give the standard deviation (n - 1); ``None`` of a single value."""
    return stdev(values) if len(values) > 1 else None
