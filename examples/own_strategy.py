"""Run a federation with a strategy of one's own, and draw how it goes beside FedAvg.

    python examples/own_strategy.py strategies.png
    python examples/own_strategy.py strategies.png corpus=ravdess data=ravdess/ rounds=20

What stands behind the picture are settings of `edge-client simulate`. The built-in corpus is not
speech: it shows that everything works.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

from aggregator.strategies import Strategy
from edge_client.simulation import simulate


class Clipped(Strategy):
    """Average the updates, none of them longer than the shortest: no client pulls harder."""

    def combine(self, updates):
        deltas = [np.asarray(update.delta) for update in updates]
        norms = [np.linalg.norm(delta) for delta in deltas]
        return np.mean([d * (min(norms) / n) for d, n in zip(deltas, norms)], axis=0)


def main(picture, *settings):
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    lines, matrix = figure.subplots(1, 2)
    values = {"rounds": 4} | dict(each.split("=") for each in settings)
    for strategy in ("fedavg", Clipped):
        result = simulate(strategy=strategy, progress=True, **values)
        history, name = result.history, result.settings.strategy
        lines.plot(history["round"], history["validation_uar"], marker="o", label=name)
        print(f"{name}: UAR {result.scores.uar:.3f} on the test")
    lines.set(xlabel="round", ylabel="validation UAR", ylim=(0, 1))
    lines.legend()
    matrix.imshow(result.confusion, cmap="Blues")
    matrix.set(title=name, xlabel="predicted", ylabel="true label")
    matrix.set_xticks(range(len(result.task.names)), result.task.names)
    matrix.set_yticks(range(len(result.task.names)), result.task.names)
    figure.savefig(picture)


if __name__ == "__main__":  # other processes that compute features import this file, too
    main(*sys.argv[1:])
