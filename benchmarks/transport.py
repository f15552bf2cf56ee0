"""How fast updates pass, against bare MQTT, and what they cost the aggregator.

    python benchmarks/transport.py

Clients with a finished update each (float32), processes of their own, send it to the aggregator
through Mosquitto on this machine; it is received, made durable, checked and counted (not
aggregated: benchmarks/aggregation.py has that). In the same run the same files are sent with
Mosquitto's own programs, each as one acknowledged message (`mosquitto_pub -q 1 -f FILE`) to a
`mosquitto_sub` that throws them away; and as many bytes with bare paho-mqtt, in messages of our
chunks' size and without acknowledgements, to a process that only counts them. Mosquitto is as it is
by default; for the other two its queue is without bound, as nothing else keeps messages from being
lost there.

- MB/s: of all updates together, from the start to the last client's end;
- tools, of them: the rate of Mosquitto's programs, and ours divided by it: the aim is 0.6 at least;
- bare, of bare: the same of bare paho;
- s/update: the aggregator's time of the processor for one update;
- passes: the same, in passes of NumPy over the same bytes (read from their file, and added up);
- memory: the peak of each kind of process.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import paho.mqtt.client as mqtt
import peers
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.settings import AggregatorSettings
from edge_client.federation.client_state import ClientState
from shared.architectures import MODELS, architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.protocol.messages import Offer
from shared.randomness import stream
from shared.task import DEFAULT_TASK

CHUNK: Final = 1 << 16
TOPIC: Final = "benchmark"


@dataclass(frozen=True)
class Cost:
    """What the updates of one run have cost.

    Attributes
    ----------
    seconds
        Until the last has counted.
    size
        Bytes of all of them.
    processor
        Seconds of the processor that the aggregator has used.
    one_pass
        Seconds of the processor for one pass over the same bytes.
    memory
        Peak in MB, by the kind of process.
    by_tools
        Seconds that the same files took with Mosquitto's programs; ``None`` without them.
    """

    seconds: float
    size: int
    processor: float
    one_pass: float
    memory: dict[str, float]
    by_tools: float | None


def prepare(model: str, clients: list[str], folder: Path) -> dict[str, Any]:
    """Bring a federation to where the clients' updates are finished; give its settings."""
    settings = {"state": str(folder / "aggregator"), "model": model, "quorum": len(clients) + 1}
    with Federation(AggregatorSettings.parse(settings)) as federation:
        # One more is invited, which never comes: so nothing is aggregated.
        names = (*clients, "absent")
        federation.open_round(Opened(1, names, len(names)))
        current = federation.current.digest
        for name in clients:
            memory = ClientState(folder / name)
            memory.enter(federation.ledger.run)
            shutil.copy(federation.files.path(current), memory.path(current))
            offer = finish(model, name, memory, federation.ledger.run, current)
            memory.finish(offer, residual=None, control=None)
    return settings


def finish(model: str, name: str, memory: ClientState, run: str, current: str) -> Offer:
    """Write a client's update."""
    architecture = architecture_of(model, DEFAULT_TASK)
    rng = stream(0, "benchmark", name)
    delta = rng.standard_normal(architecture.parameters, np.float32) / 1000
    encoded = encode_update(delta, architecture, make_codec("float32"), rng)
    digest, size = memory.write_update(encoded.write)
    return Offer(
        update=digest, size=size, run=run, round=1, model=current, codec="float32", examples=20
    )


def send(model: str, clients: list[str], folder: Path) -> Cost:
    """Send the clients' updates to an aggregator."""
    settings = prepare(model, clients, folder)
    updates = [next((folder / name).glob("*.update")) for name in clients]
    size = sum(path.stat().st_size for path in updates)
    pass_seconds = one_pass(updates)
    by_tools = tools(updates, folder)
    script = Path(peers.__file__)
    with ExitStack() as stack:
        port, broker = stack.enter_context(peers.broker(folder))
        aggregator = stack.enter_context(
            peers.child(script, "aggregator", port, json.dumps(settings))
        )
        next(peers.lines(aggregator, peers.PATIENCE))
        senders = [
            stack.enter_context(peers.child(script, "client", port, name, folder / name, 1))
            for name in clients
        ]
        processes = [broker, peers.Process("aggregator", aggregator.pid)]
        before = processes[1].seconds()
        peers.go(senders)
        begun = time.perf_counter()
        for sender in senders:
            if next(peers.lines(sender, peers.PATIENCE), "") != "done\n":
                raise SystemExit("A client has ended too early.")
        seconds = time.perf_counter() - begun
        processor = processes[1].seconds() - before
        memory = {process.name: process.peak() for process in processes}
        peaks = [float(sender.communicate()[0]) for sender in senders]
    memory["client"] = max(peaks)
    return Cost(seconds, size, processor, pass_seconds, memory, by_tools)


def one_pass(paths: list[Path]) -> float:
    """Read and add up the bytes of the updates; give the seconds of the processor."""
    begun = time.process_time()
    total = np.zeros(paths[0].stat().st_size // 4, np.float32)
    for path in paths:
        values = np.fromfile(path, np.float32)
        total += values[: len(total)]
    return time.process_time() - begun


def bare(count: int, size: int, folder: Path) -> float:
    """Move as many bytes with bare paho-mqtt; give the seconds."""
    with ExitStack() as stack:
        lines = ("max_queued_messages 0", "max_queued_bytes 0")
        port, _ = stack.enter_context(peers.broker(folder, *lines))
        script = Path(__file__)
        counter = stack.enter_context(peers.child(script, "count", port, size))
        next(peers.lines(counter, peers.PATIENCE))
        publishers = [
            stack.enter_context(peers.child(script, "publish", port, size // count))
            for _ in range(count)
        ]
        peers.go(publishers)
        begun = time.perf_counter()
        next(peers.lines(counter, peers.PATIENCE))
        return time.perf_counter() - begun


def tools(paths: list[Path], folder: Path) -> float | None:
    """Send the files with Mosquitto's programs; give the seconds, ``None`` if they are missing."""
    publish, subscribe = map(shutil.which, ("mosquitto_pub", "mosquitto_sub"))
    if publish is None or subscribe is None:
        return None
    with ExitStack() as stack:
        lines = ("max_queued_messages 0", "max_queued_bytes 0")
        port, _ = stack.enter_context(peers.broker(folder, *lines))
        place = ["-p", str(port), "-t", TOPIC, "-q", "1"]
        # A first, retained message tells that it has subscribed.
        subprocess.run([publish, *place, "-r", "-m", "ready"], check=True)
        sink = subprocess.Popen(
            [subscribe, *place, "-C", str(len(paths) + 1)], stdout=subprocess.PIPE
        )
        stack.callback(sink.kill)
        if sink.stdout is None or sink.stdout.readline() != b"ready\n":
            raise SystemExit("mosquitto_sub does not hear.")
        begun = time.perf_counter()
        senders = [subprocess.Popen([publish, *place, "-f", path]) for path in paths]
        while sink.stdout.read(1 << 20):
            pass
        seconds = time.perf_counter() - begun
        for sender in senders:
            sender.wait()
        return seconds


def _bare_client(port: int) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    return client


def count(port: int, size: int) -> None:
    """Receive so many bytes."""
    left = size
    ended = threading.Event()

    def received(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal left
        left -= len(message.payload)
        # Each publisher rounds down to whole messages.
        if left <= size // 100:
            ended.set()

    client = _bare_client(port)
    client.on_message = received
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.subscribe(TOPIC)
    client.loop_start()
    ended.wait()
    print("done", flush=True)


def publish(port: int, size: int) -> None:
    """Publish so many bytes."""
    print("ready", flush=True)
    sys.stdin.readline()
    client = _bare_client(port)
    client.loop_start()
    payload = stream(0, "benchmark").bytes(CHUNK)
    for number in range(-(-size // CHUNK)):
        sent = client.publish(TOPIC, payload)
        if number % 32 == 0:
            sent.wait_for_publish()  # else paho takes all of it into memory
    sent.wait_for_publish()
    sys.stdin.readline()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--folder", type=Path, help="where files go, instead of the usual one")
    given = parser.parse_args()
    clients = [f"c{number}" for number in range(given.clients)]
    print("model    MB/s  tools  of them   bare  of bare  s/update  passes  memory (MB)")
    for model in given.models:
        found = []
        for _ in range(given.repeats):
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                cost = send(model, clients, Path(folder))
                found.append((cost, bare(given.clients, cost.size, Path(folder))))
        found.sort(key=lambda each: each[1] / each[0].seconds)
        cost, plain = found[len(found) // 2]
        used = median(each.processor for each, _ in found)
        passes = median(each.processor / each.one_pass for each, _ in found)
        memory = ", ".join(f"{name} {peak:.0f}" for name, peak in cost.memory.items())
        rate = cost.size / 1e6
        by_tools = "     -        -"
        if cost.by_tools:
            by_tools = f"{rate / cost.by_tools:6.0f} {cost.by_tools / cost.seconds:8.2f}"
        print(
            f"{model:6} {rate / cost.seconds:6.0f} {by_tools} {rate / plain:6.0f} "
            f"{plain / cost.seconds:8.2f} {used / given.clients:9.3f} {passes:7.1f}  {memory}",
            flush=True,
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["count", port, size]:
            count(int(port), int(size))
        case ["publish", port, size]:
            publish(int(port), int(size))
        case _:
            main()
