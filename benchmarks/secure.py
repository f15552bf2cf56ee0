"""What secure aggregation costs: messages, bytes, time of the processor, and memory.

    python benchmarks/secure.py --write docs/secure.md

Rounds of 8, 32 and 100 devices are taken in one process, message by message, with updates as long
as the head's and conv's, once with all devices and once with a third of them gone when masked
updates are due: that costs the aggregator most. The broker and its copies are not in it.

- messages and bytes: of a device that is there to the end, both ways, without MQTT's own;
- time of the processor: a device's mean, and all of the aggregator's; the journal's waiting for the
  disk is not in it;
- memory: the most that a device takes while it masks, and the aggregator from its journal's first
  entry to the sum, as Python counts it (``tracemalloc``).
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound
from edge_client.secure.client import SecureClient
from edge_client.secure.given import GivenRounds
from edge_client.secure.identity import Identity
from edge_client.simulation.studies.experiment_report import markdown_table, write_section
from shared.architectures import architecture_of
from shared.secure.masks import Numbers
from shared.secure.terms import Stage, Terms
from shared.task import DEFAULT_TASK
from shared.trust.keys import SecretKey

T = TypeVar("T")

COUNTS: Final = (8, 32, 100)

LENGTHS: Final = {
    "head": 4 * 1536 + 4,
    "conv": architecture_of("conv", DEFAULT_TASK).parameters,
}
"""Values of an update: the head is a softmax on 1,536 features, with four labels."""

HEADER: Final = [
    *("update", "devices", "gone", "messages", "KB sent", "KB received"),
    *("s a device", "s aggregator", "MB a device", "MB aggregator"),
]


@dataclass
class Costs:
    """What was spent."""

    device: float = 0.0
    aggregator: float = 0.0
    messages: int = 0
    sent: int = 0
    received: int = 0
    device_peak: int = 0
    aggregator_peak: int = 0
    update: Numbers = field(default_factory=lambda: np.zeros(0, np.uint32))


def seconds(act: Callable[[], T]) -> tuple[float, T]:
    """Do something; give the processor's seconds with its result."""
    before = time.process_time()
    result = act()
    return time.process_time() - before, result


def peak(act: Callable[[], T]) -> tuple[int, T]:
    """Do something; give the most bytes it has held, with its result."""
    tracemalloc.start()
    result = act()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most, result


def answer(client: SecureClient, stage: Stage, asked: bytes, update: Numbers) -> bytes:
    """Let a device answer at a stage."""
    if stage is Stage.KEYS:
        return client.keys()
    if stage is Stage.MASKED:
        return client.masked(asked, update)
    calls = {Stage.SHARES: client.shares, Stage.CONSENT: client.consent}
    return calls.get(stage, client.reveal)(asked)


def take_round(folder: Path, terms: Terms, count: int, gone: int) -> Costs:
    """Take a round to its sum, and check that."""
    names = [f"device-{number:02}" for number in range(count)]
    keys = {name: SecretKey(bytes([number]) * 32) for number, name in enumerate(names)}
    known = {name: key.public for name, key in keys.items()}
    given = {name: GivenRounds(folder / name) for name in names}
    clients = {
        name: SecureClient(terms, Identity(name, keys[name], known, 2), given[name])
        for name in names
    }
    update = np.arange(terms.length, dtype=np.uint32) % (1 << terms.bits)
    costs = Costs(update=update)
    round_ = SecureRound(terms, known, Journal(folder / "journal"))
    while round_.stage is not Stage.DONE:
        away = names[count - gone :] if round_.stage is Stage.MASKED else []
        for name in sorted(round_.awaited - set(away)):
            take_one(round_, clients[name], name, costs)
        costs.aggregator += seconds(round_.close)[0]
    expected = (update * (count - gone)) % (1 << terms.bits)
    np.testing.assert_array_equal(round_.sum, expected)
    costs.device /= count - 1
    costs.aggregator_peak, _ = peak(lambda: SecureRound(terms, known, Journal(folder / "journal")))
    return costs


def take_one(round_: SecureRound, client: SecureClient, name: str, costs: Costs) -> None:
    """Ask one device and take its answer; of the first one bytes and memory are counted."""
    stage, first = round_.stage, name.endswith("-00")
    asked = b""
    if stage is not Stage.KEYS:
        spent, asked = seconds(lambda: round_.ask(name))
        costs.aggregator += spent
    if first:
        most, said = peak(lambda: answer(client, stage, asked, costs.update))
        costs.device_peak = max(costs.device_peak, most)
        costs.messages += 1 + bool(asked)
        costs.sent += len(said)
        costs.received += len(asked)
    else:
        spent, said = seconds(lambda: answer(client, stage, asked, costs.update))
        costs.device += spent
    costs.aggregator += seconds(lambda: round_.take(name, said))[0]


def row_of(update: str, count: int, gone: int, bits: int) -> list[str]:
    """Measure one round."""
    terms = Terms("chorus", "0" * 32, 1, LENGTHS[update], bits)
    with tempfile.TemporaryDirectory() as folder:
        costs = take_round(Path(folder), terms, count, gone)
    return [
        *(update, str(count), str(gone), str(costs.messages)),
        *(f"{costs.sent / 1000:,.0f}", f"{costs.received / 1000:,.0f}"),
        *(f"{costs.device:.2f}", f"{costs.aggregator:.2f}"),
        *(f"{costs.device_peak / 1e6:.1f}", f"{costs.aggregator_peak / 1e6:.1f}"),
    ]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, default=12, help="of a value")
    parser.add_argument("--write", type=Path, help="document that has a section 'cost'")
    arguments = parser.parse_args()
    rows: list[list[str]] = [HEADER]
    for update in LENGTHS:
        for count in COUNTS:
            for gone in (0, count // 3):
                rows.append(row_of(update, count, gone, arguments.bits))
                print("  ".join(rows[-1]), flush=True)
    if arguments.write:
        when = f"{datetime.now(UTC):%Y-%m-%d}, {arguments.bits} bits a value."
        write_section(arguments.write, "cost", f"{when}\n\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()
