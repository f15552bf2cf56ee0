"""What a simulated federation costs against a hand-written TensorFlow loop.

    python benchmarks/simulation.py

One run on this machine measures, interleaved, each in a process of its own:

- rounds of 4 clients, and of 20 clients of one speaker each, against a hand-written compiled loop
  over the same examples for one epoch (conv, batch 20, Adam, dropout; no evaluation), which has
  TensorFlow's own choice of threads;
- the peak memory of a process that runs the loop, 4 clients, and 1,000 clients, on the same data;
- the time from the start of the command to its first training step, against TensorFlow's import.

The examples are random numbers of the right shape: 20 speakers with 28 utterances each, as many
as the training actors of one RAVDESS fold have.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge_client.simulation.data import ClientShares
from edge_client.simulation.engines import Engines
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import architecture_of
from shared.randomness import stream
from shared.task import DEFAULT_TASK
from shared.training import Examples
from shared.weights import initial_weights

SPEAKERS, UTTERANCES, BATCH = 20, 28, 20
ARCHITECTURE = architecture_of("conv", DEFAULT_TASK)

FIRST_STEP = """
import sys, time
from edge_client.simulation import keras_engine
step = keras_engine.KerasEngine.step
def first(self, *arguments):
    print(f" {time.time()} ", end="", flush=True)  # in one piece: two clients begin at once
    raise SystemExit
keras_engine.KerasEngine.step = first
from edge_client.cli import app
if __name__ == "__main__":
    app(["simulate", "--out", sys.argv[1], "--overwrite"])
"""


def examples() -> Examples:
    """Make random examples of the right shape."""
    rng = stream(0, "benchmark")
    count = SPEAKERS * UTTERANCES
    return Examples(
        rng.standard_normal((count, 100, 34), np.float32),
        np.full(count, 100, np.int32),
        rng.integers(0, 4, count, np.int32),
    )


def plain_loop(data: Examples) -> Callable[[], object]:
    """Write the loop that one would write by hand: Keras model and optimiser, compiled step."""
    import keras
    import tensorflow as tf

    from converters.keras_models import build

    model = build(ARCHITECTURE)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(features: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(features, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    rng = np.random.default_rng(0)

    def epoch() -> None:
        order = rng.permutation(len(data))
        for start in range(0, len(data), BATCH):
            where = order[start : start + BATCH]
            step(tf.constant(data.features[where]), tf.constant(data.labels[where]))

    return epoch


def federation(data: Examples, clients: int) -> Callable[[], object]:
    """Make a federation whose clients share the data evenly; more clients than data overlap."""
    settings = SimulationSettings(clients=clients, learning_rate=1e-3)
    if clients <= len(data):
        places = np.array_split(np.arange(len(data)), clients)
    else:
        rng = stream(0, "places")
        places = [rng.choice(len(data), BATCH, replace=False) for _ in range(clients)]
    engines = Engines().get(settings)
    rounds = SimulatedFederation(settings, engines, ClientShares(data, places))
    weights = initial_weights(ARCHITECTURE, stream(0, "weights"))
    return partial(rounds.run, 1, weights)


def prepared(what: str) -> Callable[[], object]:
    """Make the loop, or a federation of so many clients."""
    return plain_loop(examples()) if what == "loop" else federation(examples(), int(what))


class Process:
    """A process that runs the loop or a federation each time it is told to."""

    def __init__(self, what: str) -> None:
        self._here, there = socket.socketpair()
        command = [sys.executable, __file__, "--serve", what]
        self._process = subprocess.Popen(command, stdin=there, stdout=there)
        there.close()
        self._lines = self._here.makefile("rw")

    def run(self) -> float:
        """Run once; give the seconds it took."""
        self._lines.write("go\n")
        self._lines.flush()
        return float(self._lines.readline())

    def close(self) -> None:
        """End the process."""
        self._here.shutdown(socket.SHUT_WR)
        self._process.wait()


def compare_speed(repeats: int) -> dict[str, float]:
    """Time epochs of the loop and rounds of the federations in turn; give median seconds."""
    times: dict[str, list[float]] = {what: [] for what in ("loop", "4", str(SPEAKERS))}
    processes = {what: Process(what) for what in times}
    for repeat in range(repeats + 1):
        for what, process in processes.items():
            seconds = process.run()
            if repeat:  # the first one compiles
                times[what].append(seconds)
    for process in processes.values():
        process.close()
    return {what: statistics.median(values) for what, values in times.items()}


def serve(what: str) -> None:
    """Be one of those processes: at each line, run once and print the seconds."""
    run = prepared(what)
    for _ in sys.stdin:
        begun = time.perf_counter()
        run()
        print(time.perf_counter() - begun, flush=True)


def compare_memory(repeats: int) -> dict[str, float]:
    """Run federations and the loop in processes of their own; give median peaks in MB."""
    peaks: dict[str, list[float]] = {what: [] for what in ("loop", "4", "1000")}
    for _ in range(repeats):
        for what, values in peaks.items():
            command = [sys.executable, __file__, "--alone", what]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            values.append(float(done.stdout))
    return {what: statistics.median(values) for what, values in peaks.items()}


def run_alone(what: str) -> None:
    """Be that process: two epochs or rounds (of 1,000 clients, one), then print the peak."""
    import resource

    run = prepared(what)
    for _ in range(1 if what == "1000" else 2):
        run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def start_up(repeats: int) -> tuple[float, float]:
    """Time TensorFlow's import, and the command up to its first step; give median seconds."""
    imports, firsts = [], []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "first_step.py")
        script.write_text(FIRST_STEP)
        command = [sys.executable, str(script), str(Path(folder, "run"))]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        for repeat in range(repeats + 1):
            begun = time.time()
            loading = [sys.executable, "-c", "import tensorflow"]
            subprocess.run(loading, check=True, capture_output=True, env=quiet)
            imported = time.time() - begun
            begun = time.time()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if repeat:  # the first one fills the features' cache
                imports.append(imported)
                firsts.append(float(done.stdout.split()[0]) - begun)
    return statistics.median(imports), statistics.median(firsts)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.alone:
        run_alone(arguments.alone)
        return
    # Memory first: a process inherits the peak of the one that starts it.
    memory = compare_memory(5)
    imported, first = start_up(3)
    seconds = compare_speed(arguments.repeats)
    loop = seconds["loop"]
    rows = [
        ("plain loop, one epoch", f"{loop:.2f} s", "", ""),
        (
            "4 clients, one round",
            f"{seconds['4']:.2f} s",
            seconds["4"] / loop,
            0.90,
        ),
        ("20 clients", f"{seconds['20']:.2f} s", seconds["20"] / loop, 1.10),
        ("memory, plain loop", f"{memory['loop']:.0f} MB", "", ""),
        ("memory, 4 clients", f"{memory['4']:.0f} MB", memory["4"] / memory["loop"], 1.15),
        ("memory, 1,000 clients", f"{memory['1000']:.0f} MB", memory["1000"] / memory["4"], 1.2),
        ("import of TensorFlow", f"{imported:.1f} s", "", ""),
        ("start to first step", f"{first:.1f} s", first - imported, 3.0),
    ]
    if arguments.json:
        print(
            json.dumps(
                [dict(zip(("what", "value", "ratio", "bound"), r, strict=True)) for r in rows]
            )
        )
        return
    for what, value, ratio, bound in rows:
        shown = f"{ratio:.2f}  (at most {bound:.2f})" if ratio else ""
        print(f"{what:24} {value:>9}  {shown}")


if __name__ == "__main__":
    main()
