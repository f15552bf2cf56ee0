"""What it costs to aggregate a round: peak memory and time, with any number of updates.

    python benchmarks/aggregation.py

For the dense model (26 million weights, 104 MB) and the strategies named, rounds of 4, 16 and 64
updates are aggregated, each in a process of its own that has been started for it: from the ledger
and the updates' files to the files of the next model and of the running average, safe on the disk.
It is a federation's second round, so that there is something to remember. The updates are four
different files, linked to under the names of all clients: the disk's own speed plays no part.

- memory: the process's peak, less 3 times the model: the aim is 100 MB at most;
- time of the processor, also against one pass over the same bytes with NumPy (read and added up, in
  a process of its own, in the same run). Once a round the model is read, checked and written: that
  is in it too.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from aggregator.ledger import CheckedUpdate
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened
from aggregator.settings import AggregatorSettings
from aggregator.strategies import STRATEGIES
from shared.architectures import architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.randomness import stream
from shared.task import DEFAULT_TASK

COUNTS = (4, 16, 64)
OPTIONS: dict[str, dict[str, object]] = {
    "fedavg": {},
    "median": {},
    "krum": {"byzantine": 0},  # it withstands one with five updates or more
    "fedadam": {},
    "scaffold": {"optimizer": "sgd", "clients": max(COUNTS)},
}
"""What is measured, and what each needs."""

DISTINCT = 4


def settings(state: Path, strategy: str, codec: str) -> AggregatorSettings:
    """Give the settings of a federation."""
    values: dict[str, object] = {"state": state, "strategy": strategy, "codecs": codec}
    values |= {"model": "dense", "averaging": 0.5, **OPTIONS.get(strategy, {})}
    return AggregatorSettings.parse(values)


def write_updates(folder: Path, codec: str, *, control: bool) -> list[Path]:
    """Write the different updates."""
    architecture = architecture_of("dense", DEFAULT_TASK)
    paths = []
    for number in range(DISTINCT):
        path = folder / f"{codec}-{'two' if control else 'one'}-{number}.safetensors"
        if not path.exists():
            rng = stream(0, "benchmark", number)
            delta = rng.standard_normal(architecture.parameters, np.float32) / 1000
            encode_update(
                delta, architecture, make_codec(codec), rng, control=delta if control else None
            ).write(path)
        paths.append(path)
    return paths


def prepare(
    state: Path, strategy: str, number: int, count: int, codec: str, updates: list[Path]
) -> None:
    """Bring a federation to where a round with so many updates is to be aggregated."""
    names = tuple(f"client-{index:03}" for index in range(count))
    with Federation(settings(state, strategy, codec)) as federation:
        federation.open_round(Opened(number, names, count))
        for index, name in enumerate(names):
            path = federation.folder.update(number, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(updates[index % DISTINCT], path)
            federation.ledger.accept(
                CheckedUpdate(
                    round=number,
                    client=name,
                    digest="0" * 64,
                    bytes=path.stat().st_size,
                    codec=codec,
                    examples=10 + index,
                    norm=1.0,
                )
            )


def aggregate(state: Path, strategy: str, codec: str) -> None:
    """Aggregate the round; print seconds and bytes. This is what the child processes do."""
    with Federation(settings(state, strategy, codec)) as federation:
        step = federation.rounds.start(0)
        if not isinstance(step, Closed):
            raise TypeError("the round should be complete")
        begun = time.process_time()
        if federation.close_round(step) is None:
            raise ValueError(federation.ledger.rounds(1)[0].note)
    _print_cost(begun)


def one_pass(paths: list[Path], count: int) -> None:
    """Read and add up the bytes of so many updates; print seconds and bytes."""
    begun = time.process_time()
    total = np.zeros(architecture_of("dense", DEFAULT_TASK).parameters, np.float32)
    for number in range(count):
        values = np.fromfile(paths[number % DISTINCT], np.uint8)
        floats = values[len(values) % 4 :].view(np.float32)[: len(total)]
        total[: len(floats)] += floats
    _print_cost(begun)


def _print_cost(begun: float) -> None:
    seconds = time.process_time() - begun
    # Not `ru_maxrss`, which begins at what the process had that started this one.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps([seconds, int(peak) * 1024]))


def measured(*arguments: str) -> tuple[float, float]:
    """Run one of the two in a process of its own; give its seconds and its peak in MB."""
    command = [sys.executable, __file__, *arguments]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak = json.loads(out.splitlines()[-1])
    return seconds, peak / 1e6


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", default="float32")
    parser.add_argument("--strategies", nargs="+", default=tuple(OPTIONS))
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    given = parser.parse_args()
    model = 4 * architecture_of("dense", DEFAULT_TASK).parameters / 1e6
    print(f"dense: {model:.0f} MB; 3 times that and 100 MB are {3 * model + 100:.0f} MB")
    print(
        f"{'strategy':10} {'updates':>7} {'peak MB':>8} {'s':>6} {'s/update':>9} {'of a pass':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for strategy in given.strategies:
            control = "control" in STRATEGIES.get(strategy).extra_vectors
            paths = write_updates(Path(folder), given.codec, control=control)
            for count in given.counts:
                state = Path(folder) / f"{strategy}-{count}"
                work = ("aggregate", str(state), strategy, given.codec)
                prepare(state, strategy, 1, DISTINCT, given.codec, paths)
                measured(*work)
                prepare(state, strategy, 2, count, given.codec, paths)
                plain, _ = measured("pass", str(count), *map(str, paths))
                seconds, peak = measured(*work)
                print(
                    f"{strategy:10} {count:7} {peak:8.0f} {seconds:6.2f} {seconds / count:9.3f} "
                    f"{seconds / plain:9.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["aggregate", state, strategy, codec]:
            aggregate(Path(state), strategy, codec)
        case ["pass", count, *paths]:
            one_pass([Path(path) for path in paths], int(count))
        case _:
            main()
