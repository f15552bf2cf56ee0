"""What a round costs besides training: seconds, time of the processor, and memory.

    python benchmarks/round.py --model dense --clients 8 --codec float32

A broker, an aggregator and clients, each a process of its own on this machine, play rounds in which
training takes no time (benchmarks/peers.py says how). A round is: the model to every client, each
client's update back, checked and aggregated, and the next model. Each round but the first is
measured from the end of the one before it to its own end.

- seconds: of each round; the median counts;
- processor: seconds that each kind of process has used for one round, all clients together;
- memory: the peak of each kind of process, the largest client's;
- down: bytes of models that the aggregator has sent in all, each once for all clients.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import peers

from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from shared.architectures import MODELS


@dataclass(frozen=True)
class Cost:
    """What rounds have cost.

    Attributes
    ----------
    rounds
        Seconds of each round.
    processor
        Seconds of the processor for one round, by the kind of process.
    memory
        Peak in MB, by the kind of process.
    down
        MB of models that the aggregator has sent.
    """

    rounds: list[float]
    processor: dict[str, float]
    memory: dict[str, float]
    down: float


def settings_of(given: argparse.Namespace, state: Path) -> dict[str, Any]:
    """Give the settings of the federation."""
    return {
        "state": str(state),
        "model": given.model,
        "codecs": given.codec,
        "download_codec": given.download_codec,
        "quorum": given.clients,
        "min_updates": given.clients,
        "rounds": given.rounds + 1,
        "keep_models": 2,
    }


def play(given: argparse.Namespace, folder: Path) -> Cost:
    """Play the rounds."""
    with ExitStack() as stack:
        port, broker = stack.enter_context(peers.broker(folder, embedded=given.embedded_broker))
        settings = json.dumps(settings_of(given, folder / "aggregator"))
        script = Path(peers.__file__)
        aggregator = stack.enter_context(peers.child(script, "aggregator", port, settings))
        clients = [
            stack.enter_context(
                peers.child(script, "client", port, f"c{i}", folder / f"c{i}", given.rounds + 1)
            )
            for i in range(given.clients)
        ]
        news = peers.lines(aggregator, peers.PATIENCE)
        next(news)
        peers.go(clients)
        processes = [broker, peers.Process("aggregator", aggregator.pid)]
        processes += [peers.Process("clients", client.pid) for client in clients]
        rounds, used, memory = follow(given, news, processes)
    with History(FederationFolder(folder / "aggregator").ledger) as history:
        down = sum(client.bytes_down for client in history.clients())
    return Cost(rounds, used, memory, down / 1e6)


def follow(
    given: argparse.Namespace, news: Any, processes: list[peers.Process]
) -> tuple[list[float], dict[str, float], dict[str, float]]:
    """Look at the processes after each round; give what :class:`Cost` has of it."""
    ended: list[float] = []
    used: dict[str, float] = {}
    memory: dict[str, float] = {}
    for line in news:
        ended.append(json.loads(line)[1])
        if len(ended) == 1:
            used = _used(processes)
        if len(ended) == given.rounds:
            # Before the last round's end: after it clients leave.
            later = _used(processes)
            used = {name: later[name] - used[name] for name in used}
            for process in processes:
                memory[process.name] = max(memory.get(process.name, 0.0), process.peak())
        if len(ended) == given.rounds + 1:
            break
    if len(ended) <= given.rounds:
        raise SystemExit("The aggregator has ended before the last round.")
    seconds = [after - before for before, after in pairwise(ended)]
    measured = max(1, given.rounds - 1)
    return seconds, {name: value / measured for name, value in used.items()}, memory


def _used(processes: list[peers.Process]) -> dict[str, float]:
    total: dict[str, float] = {}
    for process in processes:
        total[process.name] = total.get(process.name, 0.0) + process.seconds()
    return total


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="dense")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--codec", default="float32")
    parser.add_argument("--download-codec", default="none")
    parser.add_argument("--rounds", type=int, default=3, help="at least 2 are measured")
    parser.add_argument("--embedded-broker", action="store_true", help="instead of Mosquitto")
    parser.add_argument("--folder", type=Path, help="where files go, instead of the usual one")
    return parser.parse_args()


def main() -> None:
    """Measure, and print."""
    given = parsed()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        cost = play(given, Path(folder))
    print(f"{given.model}, {given.clients} clients, {given.codec}:")
    each = " ".join(f"{seconds:.2f}" for seconds in cost.rounds)
    print(f"  seconds a round: {median(cost.rounds):.2f} (of {each})")
    for name, seconds in cost.processor.items():
        print(f"  {name:10} {seconds:6.2f} s of the processor, {cost.memory[name]:5.0f} MB")
    print(f"  models down: {cost.down:.1f} MB for {given.rounds + 2} models")


if __name__ == "__main__":
    main()
