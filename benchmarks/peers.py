"""The processes of a federation that round.py and transport.py measure: not run by itself.

A broker, an aggregator and clients, each a process, as in a real federation. They are the
product's own code but for one thing: clients do not train. Their engine adds a fixed random
difference, of its own for each client, to the weights it is given.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.rounds.federation import Federation
from aggregator.server.service import Service
from aggregator.settings import AggregatorSettings
from edge_client.federation.participant import Participant
from edge_client.federation.settings import FederationSettings
from edge_client.learning.training import OptimizerState
from shared.architectures import Architecture, architecture_of
from shared.command import log_to_stderr
from shared.mqtt.broker_settings import BrokerSettings
from shared.randomness import stream
from shared.task import DEFAULT_TASK
from shared.training import Examples
from shared.weights import Weights

PATIENCE: Final = 180.0
"""Seconds that anything may take at most."""

_TICK: Final = os.sysconf("SC_CLK_TCK")


class Untrained:
    """An engine whose training adds the same difference each time, and takes no time.

    Parameters
    ----------
    architecture
        What it would train.
    name
        Whose difference it is.
    """

    def __init__(self, architecture: Architecture, name: str) -> None:
        self.architecture = architecture
        rng = stream(0, "benchmark", name)
        self._difference = rng.standard_normal(1 << 16, np.float32) / 1000
        self._weights: Weights = np.empty(0, np.float32)

    def begin(self, weights: Weights, *_: object, **__: object) -> None:
        """See :class:`edge_client.learning.training.Engine`."""
        self._weights = weights

    def step(self, *_: object) -> float:
        """See :class:`edge_client.learning.training.Engine`."""
        return 0.5

    def weights(self) -> Weights:
        """See :class:`edge_client.learning.training.Engine`."""
        weights, self._weights = self._weights.copy(), np.empty(0, np.float32)
        for start in range(0, len(weights), len(self._difference)):
            piece = weights[start : start + len(self._difference)]
            piece += self._difference[: len(piece)]
        return weights

    def release(self) -> None:
        """See :class:`edge_client.learning.training.Engine`."""

    def optimizer(self) -> OptimizerState:
        """See :class:`edge_client.learning.training.Engine`."""
        return OptimizerState()

    def logits(
        self, _: Weights, features: NDArray[np.float32], __: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """See :class:`edge_client.learning.training.Engine`."""
        return np.zeros((len(features), len(DEFAULT_TASK.labels)), np.float32)


def examples() -> Examples:
    """Give one batch of nothing."""
    shape = DEFAULT_TASK.front_end
    features = np.zeros((20, shape.frames, shape.features), np.float32)
    return Examples(features, np.full(20, shape.frames, np.int32), np.zeros(20, np.int32))


def serve(port: int, settings: dict[str, Any]) -> None:
    """Be the aggregator: print a line of JSON when it is ready, and after each round.

    One round follows the other, whatever there is to learn.
    """

    def tell(number: int) -> None:
        print(json.dumps([number, time.time()]), flush=True)

    unpaced = {"new_examples": 0, "least_examples": 1, "every": 0}
    with Federation(AggregatorSettings.parse(settings | unpaced)) as federation:
        broker = BrokerSettings(port=port)
        service = Service(federation, broker, on_round=lambda number, _: tell(number))
        tell(0)
        service.run()


def take_part(port: int, name: str, folder: str, rounds: int) -> None:
    """Be a client: begin at a line from stdin, leave when so many updates have counted.

    What ending a process costs is no part of a federation: it ends when stdin is closed.
    """
    engines: dict[str, Untrained] = {}

    def engine(architecture: str) -> Untrained:
        found = architecture_of(architecture, DEFAULT_TASK)
        return engines.setdefault(architecture, Untrained(found, name))

    nothing = examples()
    settings = FederationSettings(broker=BrokerSettings(port=port), client=name, leave_after=rounds)
    participant = Participant(
        settings,
        Path(folder),
        examples=lambda: nothing,
        keys=nothing.numbers.tolist,
        engines=engine,
    )
    print("ready", flush=True)
    sys.stdin.readline()
    participant.run()
    print("done", flush=True)
    sys.stdin.read()
    print(Process("client", os.getpid()).peak(), flush=True)


@dataclass(frozen=True)
class Process:
    """A process that is measured.

    Attributes
    ----------
    name
        What it is.
    number
        Its process identifier.
    """

    name: str
    number: int

    def seconds(self) -> float:
        """Time of the processor it has used."""
        fields = Path(f"/proc/{self.number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def peak(self) -> float:
        """Memory it has held at most, in MB of a million bytes."""
        status = Path(f"/proc/{self.number}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


@contextmanager
def child(script: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run this program as another process; end it at the end."""
    process = subprocess.Popen(
        [sys.executable, script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def broker(folder: Path, *more: str, embedded: bool = False) -> Iterator[tuple[int, Process]]:
    """Run a broker on the loopback interface: Mosquitto as it is by default, or our own.

    Parameters
    ----------
    folder
        For Mosquitto's configuration.
    *more
        Lines of it.
    embedded
        Take our own.

    Yields
    ------
    int, Process
        Its port, and the broker.
    """
    with ExitStack() as stack:
        if embedded:
            own = EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0)
            stack.enter_context(own)
            # Its process is a child of this one, and so far the only.
            (number,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            yield own.port, Process("broker", int(number))
            return
        port = random.randrange(20_000, 32_000)  # noqa: S311 -- not cryptography
        configuration = folder / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true"]
        lines += ["user root"] if os.geteuid() == 0 else []
        configuration.write_text("\n".join([*lines, *more, ""]))
        path = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if path is None:
            sys.exit("This needs Mosquitto: apt-get install mosquitto")
        process = subprocess.Popen([path, "-c", configuration], stderr=subprocess.DEVNULL)
        stack.callback(process.kill)
        wait_until(lambda: _listens(port), "Mosquitto listens")
        yield port, Process("broker", process.pid)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait on a condition, bounded."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"It did not come about that {what}.")
        time.sleep(0.01)


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until all are ready, and let them begin together."""
    for process in processes:
        next(lines(process, PATIENCE))
    for process in processes:
        if process.stdin:
            process.stdin.write("go\n")
            process.stdin.flush()


def lines(process: subprocess.Popen[str], seconds: float) -> Iterator[str]:
    """Give the lines of a process's output; end it if one does not come within so many seconds."""
    if process.stdout is None:
        raise ValueError("the process has no output")
    while True:
        watch = threading.Timer(seconds, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            return
        yield line


def main() -> None:
    """Be one of the processes."""
    log_to_stderr()
    match sys.argv[1:]:
        case ["aggregator", port, settings]:
            serve(int(port), json.loads(settings))
        case ["client", port, name, folder, rounds]:
            take_part(int(port), name, folder, int(rounds))


if __name__ == "__main__":
    main()
