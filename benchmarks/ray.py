"""What the clients of a simulated federation cost on Ray, against the engines of one process.

    python benchmarks/ray.py [--data FOLDER] [--models head conv] [--clients 4 1000 10000]
        [--per-round N] [--flower PYTHON]

One run on this machine measures, in processes of their own, the seconds of a round after the first
(which starts the actors and compiles), the processor's seconds of all processes together, which
are worth more on a busy machine, those of the training's steps alone, and what memory it has at its
peak: of the command's process and of each actor. Clients of more than four each draw a mix of
labels by Dirichlet (0.5), and 20 examples of RAVDESS in that mix; without ``--data``, of the
synthetic corpus, which has the same shape. All take part in each round, or as many as
``--per-round`` says. For each it says whether the weights are the same. ``--flower`` measures
Flower's simulation beside them (``benchmarks/flower.py``); it takes the Python of an environment
that has ``flwr[simulation]`` and what this project needs, as Flower asks for a Ray of its own
version.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_client.learning.training import Engine
from edge_client.simulation.data import ClientShares, prepare
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.ray_cluster import LOCAL
from edge_client.simulation.ray_workers import engines_at
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import load_utterances
from shared.weights import initial_weights

STEPPING = 100
"""Clients whose steps are timed alone, at most."""

FEW = 4
"""Clients that are as in the paper: they share all there is."""


class Measured(NamedTuple):
    """What is measured.

    Attributes
    ----------
    model
        The architecture's name.
    clients
        Of the federation.
    per_round
        Clients that take part in a round; 0: all.
    data
        Where RAVDESS lies; empty: the synthetic corpus.
    rounds
        That count.
    """

    model: str
    clients: int
    per_round: int = 0
    data: str = ""
    rounds: int = 3

    @property
    def drawn(self) -> int:
        """Clients that take part in a round."""
        return min(self.per_round or self.clients, self.clients)


def settings_of(asked: Measured) -> SimulationSettings:
    """Say what is run."""
    corpus = {"corpus": "ravdess", "data": asked.data} if asked.data else {}
    front_end = {"front_end": "whisper-speech"} if asked.model == "head" else {}
    # Clients' draws overlap: no corpus here has 20 examples for each of 10,000 clients.
    drawn = {"partition": "dirichlet", "examples_per_client": 20} if asked.clients > FEW else {}
    given = {"model": asked.model, "clients": asked.clients, **corpus, **front_end, **drawn}
    return SimulationSettings.parse({**given, "clients_per_round": asked.drawn})


def measure(asked: Measured, address: str | None) -> Any:
    """Run rounds; give their seconds, the peaks in MB, and the weights' digest."""
    settings = settings_of(asked)
    with engines_at(address) as engines:
        shares = prepare(load_utterances(settings, progress=False), settings).clients
        own = engines.get(settings)
        workers = engines.workers(settings, shares)
        federation = SimulatedFederation(settings, own, shares, workers=workers)
        weights = initial_weights(own[0].architecture, np.random.default_rng(0))
        times = [now()]
        for number in range(1, asked.rounds + 2):
            weights = federation.run(number, weights).weights
            times.append(now())
        peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
        if address:
            peaks += peaks_of(b"ray::ClientTrainer")
        steps = steps_alone(own[0], settings, shares[: asked.drawn])
    digest = hashlib.sha256(weights.tobytes()).hexdigest()
    return {**of_a_round(times), "steps": steps, "peaks": peaks, "weights": digest}


def steps_alone(engine: Engine, settings: SimulationSettings, shares: ClientShares) -> float:
    """Give the processor's seconds of the steps of so many clients, and of nothing around them."""
    training = settings.announced(1)
    weights = initial_weights(engine.architecture, np.random.default_rng(0))
    engine.begin(weights, training, anchor=weights)
    some = shares[:STEPPING]
    batches = [
        own.take(np.arange(start, min(start + training.batch_size, len(own))))
        for own in some
        for start in range(0, len(own), training.batch_size)
    ]
    spent = []
    for _ in range(2):  # the first compiles
        begun = time.process_time()
        for batch in batches:
            engine.step(batch.features, batch.frames, batch.labels, 1)
        spent.append(time.process_time() - begun)
    return spent[-1] * len(shares) / len(some)


def now() -> tuple[float, float]:
    """Read the clock, and the processor's seconds of this process and all below it."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        pid = int(stat.parent.name)
        parents[pid], spent[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    ticks = sum(spent[pid] for pid in family)
    return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK")


def of_a_round(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Give what a round takes, the first one left out."""
    seconds, processor = np.median(np.diff(times, axis=0)[1:], axis=0)
    return {"seconds": float(seconds), "processor": float(processor)}


def peaks_of(actor: bytes) -> list[float]:
    """Read the peak memory of each actor of a name that runs on this machine, in MB."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text, name = status.read_text(), (status.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if name.startswith(actor):
            found += [int(line.split()[1]) / 1024 for line in text.splitlines() if "VmHWM" in line]
    return found


def with_flower(python: str, asked: Measured) -> Any:
    """Have Flower run the same rounds, in its own environment."""
    root = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "found.json")
        subprocess.run(
            [python, "-m", "benchmarks.flower", *map(str, asked), str(out)],
            check=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root, "FLWR_TELEMETRY_ENABLED": "0"},
            stdout=sys.stderr,
        )
        return json.loads(out.read_text())


def main() -> None:
    """Measure everything and print it."""
    # This script's own name is ray: its folder comes first, and would hide the package.
    sys.path.remove(str(Path(__file__).parent))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--data", default="", help="where RAVDESS lies")
    parser.add_argument("--models", nargs="+", default=["head", "conv"])
    parser.add_argument("--clients", nargs="+", type=int, default=[FEW, 1000, 10_000])
    parser.add_argument("--per-round", type=int, default=0, help="clients of a round; all")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count")
    parser.add_argument("--flower", metavar="PYTHON", help="measure Flower, too, by this Python")
    parser.add_argument("--alone", choices=["here", LOCAL], help=argparse.SUPPRESS)
    given = parser.parse_args()
    all_asked = [
        Measured(model, clients, given.per_round, given.data, given.rounds)
        for model in given.models
        for clients in given.clients
    ]
    if given.alone:
        print(json.dumps(measure(all_asked[0], LOCAL if given.alone == LOCAL else None)))
        return
    rows = []
    for asked in all_asked:
        row = {"model": asked.model, "clients": asked.clients, "per_round": asked.drawn}
        row |= {name: alone(name, asked) for name in ("here", LOCAL)}
        if given.flower:
            row["flower"] = with_flower(given.flower, asked)
        rows.append(row)
        if not given.json:
            print(line_of(row), flush=True)
    if given.json:
        print(json.dumps(rows))


def alone(where: str, asked: Measured) -> Any:
    """Measure in a process of its own."""
    words = ["--models", asked.model, "--clients", asked.clients, "--per-round", asked.per_round]
    words += ["--data", asked.data, "--rounds", asked.rounds]
    line = [sys.executable, __file__, "--alone", where, *map(str, words)]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout)


def told(found: dict[str, Any]) -> str:
    """Write what a round takes."""
    return f"{found['seconds']:.2f} s ({found['processor']:.2f} s of the processor)"


def line_of(row: dict[str, Any]) -> str:
    """Write what was measured of one federation."""
    here, ray = row["here"], row[LOCAL]
    actors = " + ".join(f"{peak:.0f}" for peak in ray["peaks"])
    bound = "  (at most 1.15)" if row["clients"] == FEW else ""
    same = "the same weights" if here["weights"] == ray["weights"] else "OTHER WEIGHTS"
    flower = ""
    if found := row.get("flower"):
        theirs = " + ".join(f"{peak:.0f}" for peak in found["peaks"])
        times = found["seconds"] / ray["seconds"]
        flower = f"   Flower {told(found)}, {theirs} MB, {times:.2f} of ours on Ray"
    return (
        f"{row['model']:5} {row['per_round']:6,} of {row['clients']:6,} clients  "
        f"here {told(here)}, {here['steps']:.2f} s in steps, {here['peaks'][0]:.0f} MB   "
        f"Ray {told(ray)}, {actors} MB   "
        f"{ray['seconds'] / here['seconds']:.2f}{bound}  {same}{flower}"
    )


if __name__ == "__main__":
    main()
