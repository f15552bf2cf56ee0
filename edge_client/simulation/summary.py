"""What several runs that differ in seed and fold only come to, all together."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.calibration import Reliability
from shared.metrics import Scores

METRICS: Final = ("accuracy", "uar", "precision", "recall", "macro_f1")
"""The scores that tables show."""


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give mean and spread over seeds of the scores of runs that differ in seed and fold only.

    The folds of one seed are pooled: their confusions are summed, so that every utterance counts
    once. The spread is the standard deviation over seeds (n - 1).

    Returns
    -------
    dict
        ``mean`` and ``std`` of each metric (``std`` is ``None`` for one seed), the UAR and its
        ``std`` for each of what may be ``known`` of a speaker, the ``reliability`` of all answers
        together, the summed ``confusion`` and its ``labels``, the ``seeds``, the seconds of all
        runs, and the bytes up of one run.
    """
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        by_seed.setdefault(result["seed"], []).append(result)
    labels = list(results[0]["classes"])

    def pool(runs: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
        return np.asarray(sum(np.array(run["confusion"]) for run in runs), np.int64)

    pooled = [pool(runs) for runs in by_seed.values()]
    scores = [Scores.from_confusion(matrix, labels).to_dict() for matrix in pooled]
    known = {
        name: [
            Scores.from_confusion(pool([run["known"][name] for run in runs]), labels).uar
            for runs in by_seed.values()
        ]
        for name in results[0].get("known", ())  # results of a program of one's own have none
        if all(name in run.get("known", ()) for run in results)
    }
    each = {metric: [score[metric] for score in scores] for metric in METRICS}
    relied = {name: _relied([run["known"][name] for run in results]) for name in known}
    return {
        "mean": {metric: fmean(values) for metric, values in each.items()},
        "std": {metric: _deviation(values) for metric, values in each.items()},
        "each": each,
        "known": {
            name: {"uar": fmean(values), "std": _deviation(values), **relied[name]}
            for name, values in known.items()
        },
        **_relied(results),
        "labels": labels,
        "confusion": np.sum(pooled, axis=0).tolist(),
        "seeds": list(by_seed),
        "runs": len(results),
        "seconds": sum(result["seconds"] for result in results),
        "rounds": results[0]["settings"]["rounds"],
        "clients": results[0]["clients"],
        "bytes_up": sum(
            result["bytes_up_per_round"] * result["settings"]["rounds"] for result in results
        )
        // len(results),
    }


def _relied(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put together how far the answers of all runs could be relied on, where they all say it."""
    told = [result.get("reliability") for result in results]
    if not all(told):
        return {}
    first, *others = (Reliability.from_dict(own) for own in told if own)
    whole = sum(others, first)
    return {"calibration_error": whole.error, "reliability": whole.to_dict()}


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None
