"""How much later honest devices finish their rounds while one client floods the aggregator.

    python -m benchmarks.flood --broker deployed [--requests 1000000] [--seconds 10] [--repeats 3]

Every process is one of its own. Two devices train on synthetic clips, in one federation. Some
rounds go undisturbed; then, as a round opens, a client with a device's rights begins to ask for a
file that is not there: so many times, within so many seconds. The rounds from that one on are as
many as those before. All of it is done several times, and once more without the flood, so that
each flood stands between two undisturbed stretches and a machine that becomes busier counts for
both. The federation ends in the bits of the simulation. It shows:

- sent: requests that the broker took, and in how many seconds;
- rounds: seconds of the undisturbed and of the flooded rounds, and how many times as long the
  flooded ones took: each time, and the median; of each the slowest round;
- log: bytes that the aggregator logged in all;
- memory: the most that the aggregator and the broker held.

With ``deployed`` the broker is Mosquitto as ``deploy/mosquitto`` makes it (TLS, rules), with
``plain`` a Mosquitto that lets anybody in, with ``embedded`` the aggregator's own.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Final

from aggregator.ledger import History, RoundRecord
from tests.end_to_end.federation.attacker import NAME, Attacker
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.place import PLACES, Place
from tests.end_to_end.federation.processes import Processes

STEPS: Final = 100
"""Pieces in which a flood is sent, so that it lasts as long as it shall."""

MOST_ROUNDS: Final = 100_000

FLOODED: Final = "than anybody needs, from"
OVER: Final = "Everybody is listened to again"
"""What the aggregator says when it is flooded, and a minute later."""


@dataclass(frozen=True)
class Stretch:
    """Some rounds, one after the other.

    Attributes
    ----------
    seconds
        From the opening of the first to the end of the last.
    slowest
        Seconds of the slowest round.
    """

    seconds: float
    slowest: float


@dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes
    ----------
    undisturbed, flooded
        The stretches, in the order of time; of the undisturbed there is one more.
    lasted
        Seconds that each flood took.
    log
        Bytes that the aggregator logged.
    aggregator, broker
        Bytes that they held at most.
    """

    undisturbed: list[Stretch]
    flooded: list[Stretch]
    lasted: list[float]
    log: int
    aggregator: int
    broker: int

    @property
    def ratios(self) -> list[float]:
        """How many times as long each flooded stretch took as the mean of the two around it."""
        times = [stretch.seconds for stretch in self.undisturbed]
        around = [mean(pair) for pair in pairwise(times)]
        return [each.seconds / own for each, own in zip(self.flooded, around, strict=True)]


class Flood:
    """Asks for what is not there, from a thread of its own.

    Parameters
    ----------
    place
        The broker.
    requests, seconds
        How often, and within what time if the broker takes them as fast.
    """

    def __init__(self, place: Place, requests: int, seconds: float) -> None:
        self.lasted = 0.0
        self._mallory = Attacker(place.settings_of(NAME), everything=False)
        self._requests, self._seconds = requests, seconds
        self._thread = threading.Thread(target=self._send)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> float:
        """Wait for its end; give the seconds that it took."""
        self._thread.join()
        self._mallory.close()
        return self.lasted

    def _send(self) -> None:
        begin = time.monotonic()
        for step in range(STEPS):
            self._mallory.ask_for_what_is_not_there(self._requests // STEPS)
            time.sleep(max(0.0, begin + (step + 1) * self._seconds / STEPS - time.monotonic()))
        self.lasted = time.monotonic() - begin


def measure(place: Place, clips: Clips, folder: Path, options: argparse.Namespace) -> Found:
    """Play rounds, undisturbed and flooded in turn.

    Raises
    ------
    AssertionError
        If a process ends, a round stands still, or the model is another one.
    """
    folder.mkdir()
    undisturbed, flooded, lasted = [], [], []
    more = ("--rounds", str(MOST_ROUNDS), "--keep-models", "10")
    with Processes(folder, clips, "conv", *more) as them:
        them.access = place.words
        aggregator = them.serve(place.port)
        for number in range(DEVICES):
            them.run(number, place.port)
        them.wait(lambda: them.reached(1, "done"), "round 1 is done: all are there")
        for noticed in range(options.repeats):
            undisturbed.append(_stretch(them, _next(them), options.rounds))
            flood = Flood(place, options.requests, options.seconds)
            first = _next(them)
            them.wait(lambda first=first: them.round(first), f"round {first} is open")  # type: ignore[misc] # bound now
            flood.start()
            flooded.append(_stretch(them, first, options.rounds))
            lasted.append(flood.wait())
            if aggregator.said(FLOODED) > noticed:  # for a minute it listens to nobody new
                them.wait(lambda n=noticed: aggregator.said(OVER) > n, "the flood is over")  # type: ignore[misc] # bound now
        undisturbed.append(_stretch(them, _next(them), options.rounds))
        memory = aggregator.peak_memory()
        aggregator.kill()
        rounds = them.current().round
        them.reach(rounds, simulated(clips.whole, rounds=rounds))
    size = aggregator.log.stat().st_size
    return Found(undisturbed, flooded, lasted, size, memory, place.memory())


def _next(them: Processes) -> int:
    """Give the number of the round that opens next."""
    last: RoundRecord = them.read(History.last_round)  # there is one: a round was waited for
    return last.number + 1


def _stretch(them: Processes, first: int, rounds: int) -> Stretch:
    """Wait until so many rounds are done, from one on."""
    last = first + rounds - 1
    them.wait(lambda: them.reached(last, "done"), f"round {last} is done")
    records = [them.round(number) for number in range(first, last + 1)]
    slowest = max(record.ended - record.opened for record in records)
    return Stretch(records[-1].ended - records[0].opened, slowest)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--broker", choices=PLACES, default="deployed")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5, help="of a stretch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="say all of it as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chorus-flood-") as name:
        folder = Path(name)
        os.environ["CHORUS_CACHE"] = str(folder / "cache")
        for each in ("clips", "broker"):
            (folder / each).mkdir()
        clips = Clips.write(folder / "clips")
        with PLACES[options.broker](folder / "broker") as place:
            found = measure(place, clips, folder / "state", options)
    if options.json:
        json.dump({**asdict(found), "ratios": found.ratios}, sys.stdout)
        return
    sent = ", ".join(f"{seconds:.1f}" for seconds in found.lasted)
    print(f"{options.requests} requests in {sent} s through the broker: {options.broker}")
    for title, stretches in (("undisturbed", found.undisturbed), ("flooded", found.flooded)):
        print(
            f"{title:12} {options.rounds} rounds in "
            + ", ".join(f"{each.seconds:.1f}" for each in stretches)
            + f" s; the slowest {max(each.slowest for each in stretches):.1f} s"
        )
    each = ", ".join(f"{ratio:.2f}" for ratio in found.ratios)
    print(f"{each}: in the median {median(found.ratios):.2f} times as long")
    held = ", ".join(
        f"the {who} held {size / 1e6:.0f} MB"
        for who, size in (("aggregator", found.aggregator), ("broker", found.broker))
    )
    print(f"the aggregator logged {found.log} bytes; {held}")


if __name__ == "__main__":
    main()
