"""Training and recognition on the device against TensorFlow, in one run.

    .venv/bin/python benchmarks/training.py [--models conv,dense,lstm] [--pairs 15] [--json]

Steps of TensorFlow, ai-edge-litert and tflite-runtime take turns, each in a process of its own, so
that a ratio compares neighbours in time; the median of the ratios is what is reported. Memory is
the peak of a fresh process that trains. Needs the three environments that `scripts/test` makes. On
a machine that is shared, give it priority: `chrt --rr 1 .venv/bin/python benchmarks/training.py`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PYTHONS = {
    "tensorflow": ".venv",
    "ai-edge-litert": ".venv-litert",
    "tflite-runtime": ".venv-tflite",
}
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
THREADS = 2

STEP_LIMITS = {
    "ai-edge-litert": {"dense": 1.0, "conv": 1.1, "lstm": 0.4},
    "tflite-runtime": {"dense": 1.1, "conv": 1.8, "lstm": 0.6},
}
MEMORY_LIMITS = {"dense": 800, "conv": 180, "lstm": 400}
HEAD_MEMORY_LIMITS = {"dense": 330, "conv": 110, "lstm": 110}
RECOGNITION_LIMITS = {"dense": 12, "conv": 12, "lstm": 40}
START_LIMIT = 1500


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="conv,dense,lstm")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        what, model = options.worker
        WORKERS[what](model)
        return
    rows: list[dict[str, Any]] = []
    for model in options.models.split(","):
        rows += steps(model, options.pairs)
        for runtime in RUNTIMES:
            for what, limits in (("memory", MEMORY_LIMITS), ("head-memory", HEAD_MEMORY_LIMITS)):
                rows.append(
                    row(f"{what} MiB", model, runtime, once(runtime, what, model), limits[model])
                )
            found = once(runtime, "recognition", model)
            rows.append(row("recognition ms", model, runtime, found, RECOGNITION_LIMITS[model]))
            started = time.perf_counter()
            once(runtime, "start", model)
            taken = 1000 * (time.perf_counter() - started)
            rows.append(row("start to prediction ms", model, runtime, taken, START_LIMIT))
    if options.json:
        print(json.dumps(rows))
        return
    for entry in rows:
        mark = "" if entry["holds"] else "  <- above"
        value = f"{entry['value']:8.2f} (limit {entry['limit']})"
        print(f"{entry['what']:24}{entry['model']:8}{entry['runtime']:16}{value}{mark}")


def row(what: str, model: str, runtime: str, value: float, limit: float) -> dict[str, Any]:
    """Make one line of the outcome."""
    print(f"{what} {model} {runtime}: {value:.2f}", file=sys.stderr)
    names = {"what": what, "model": model, "runtime": runtime}
    return names | {"value": value, "limit": limit, "holds": value <= limit}


def start(environment: str, what: str, model: str) -> "subprocess.Popen[str]":
    """Start this file as a worker in another environment."""
    python = ROOT / PYTHONS[environment] / "bin" / "python"
    command = [str(python), __file__, "--worker", what, model]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def once(environment: str, what: str, model: str) -> float:
    """Run a worker to its end; give the number it prints."""
    answer, _ = start(environment, what, model).communicate()
    return float(answer)


def steps(model: str, pairs: int) -> list[dict[str, Any]]:
    """Let the engines take steps in turns; give the median ratios to TensorFlow."""
    workers = {name: start(name, "steps", model) for name in PYTHONS}
    times: dict[str, list[float]] = {name: [] for name in workers}
    for worker in workers.values():
        read(worker)
    for _ in range(pairs):
        for name, worker in workers.items():
            assert worker.stdin is not None  # noqa: S101 - started with a pipe
            worker.stdin.write("\n")
            worker.stdin.flush()
            times[name].append(read(worker))
    for worker in workers.values():
        worker.communicate()
    rows = []
    for runtime in RUNTIMES:
        pairs_of = zip(times[runtime], times["tensorflow"], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs_of)
        rows.append(row("step / TensorFlow's", model, runtime, ratio, STEP_LIMITS[runtime][model]))
        milliseconds = 1000 * statistics.median(times[runtime])
        rows[-1] |= {
            "ms": milliseconds,
            "tensorflow ms": 1000 * statistics.median(times["tensorflow"]),
        }
    return rows


def read(worker: "subprocess.Popen[str]") -> float:
    """Read one number of a worker."""
    assert worker.stdout is not None  # noqa: S101 - started with a pipe
    return float(worker.stdout.readline())


def batch(model: str) -> tuple[Any, Any, Any, Any]:
    """Draw an architecture's weights, and a batch of 20."""
    import numpy as np

    from shared.architectures import architecture_of
    from shared.task import DEFAULT_TASK

    architecture = architecture_of(model, DEFAULT_TASK)
    rng = np.random.default_rng(0)
    # Drawn in place: a peak of memory that drawing leaves behind would hide that of training.
    weights = np.empty(architecture.parameters, np.float32)
    rng.standard_normal(out=weights, dtype=np.float32)
    weights *= np.float32(0.02)
    shape = (20, architecture.frames, architecture.features)
    features = rng.standard_normal(shape, np.float32)
    return architecture, weights, features, rng.integers(0, architecture.labels, 20, np.int32)


def work_steps(model: str) -> None:
    """Take a step for each line that comes in; with TensorFlow where it is installed."""
    from importlib.util import find_spec

    step = tensorflow_step(model) if find_spec("tensorflow") else device_step(model)[1]
    for _ in range(3):
        step()
    print(0, flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        step()
        print(time.perf_counter() - begun, flush=True)


def tensorflow_step(model: str) -> Callable[[], object]:
    """Compile Keras' own training step."""
    import keras
    import tensorflow as tf

    from converters.keras_models import build, set_weights

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    architecture, weights, features, labels = batch(model)
    network = build(architecture)
    set_weights(network, architecture, weights)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-4), loss)
    return lambda: network.train_on_batch(features, labels)


def device_step(model: str, *, head_only: bool = False) -> tuple[Any, Callable[[], object]]:
    """Begin a training on the device's engine; give the engine, and a step of it."""
    import numpy as np

    from edge_client.tflite.engine import TfliteEngine
    from shared.training import TrainingSettings

    architecture, weights, features, labels = batch(model)
    engine = TfliteEngine(architecture, threads=THREADS)
    engine.begin(weights, TrainingSettings(head_only=head_only), anchor=weights)
    frames = np.full(len(labels), architecture.frames, np.int32)
    return engine, lambda: engine.step(features, frames, labels, 1)


def work_memory(model: str, *, head_only: bool = False) -> None:
    """Train for a few steps and take the weights out, holding the global ones; print the peak."""
    engine, step = device_step(model, head_only=head_only)
    for _ in range(3):
        step()
    engine.weights()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def work_recognition(model: str) -> None:
    """Recognise ten seconds of sound, features included; print the median in ms."""
    import numpy as np

    from shared.frames import pad
    from shared.front_ends.paper34 import frame_features
    from shared.inference import Inference
    from shared.task import PAPER34

    architecture, weights, _, _ = batch(model)
    inference = Inference(architecture, weights, threads=THREADS)
    sound = np.random.default_rng(0).standard_normal(160_000, np.float32)
    sound /= np.abs(sound).max()
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        inference.logits(pad(frame_features(sound), PAPER34), architecture.frames)
        times.append(time.perf_counter() - begun)
    print(1000 * statistics.median(times))


def work_start(model: str) -> None:
    """Import, load and recognise once."""
    from shared.inference import Inference

    architecture, weights, features, _ = batch(model)
    inference = Inference(architecture, weights, threads=THREADS)
    print(inference.logits(features[0], architecture.frames)[0])


WORKERS: dict[str, Callable[[str], None]] = {
    "steps": work_steps,
    "memory": work_memory,
    "head-memory": lambda model: work_memory(model, head_only=True),
    "recognition": work_recognition,
    "start": work_start,
}

if __name__ == "__main__":
    main()
