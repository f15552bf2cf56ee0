"""How much later honest devices finish their rounds while one client floods the aggregator.

    python -m benchmarks.flood --broker deployed [--requests 1000000] [--seconds 10]

Every process is one of its own. Two devices train on synthetic clips for a number of rounds,
undisturbed; then the same federation begins again from nothing, and while its first round is open a
client with a device's rights begins to ask for a file that is not there: so many times, within so
many seconds. Both end in the bits of the simulation. It shows:

- sent: requests that the broker took, and in how many seconds;
- rounds: seconds from the opening of the first to the end of the last, of each federation, and how
  many times as long the flooded one took; of each the slowest round;
- log: bytes that the aggregator logged while it was flooded;
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
from pathlib import Path
from typing import Final

from tests.end_to_end.federation.attacker import NAME, Attacker
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.place import PLACES, Place
from tests.end_to_end.federation.processes import Processes

STEPS: Final = 100
"""Pieces in which a flood is sent, so that it lasts as long as it shall."""


@dataclass(frozen=True)
class Rounds:
    """How a federation went.

    Attributes
    ----------
    seconds
        From the opening of the first round to the end of the last.
    slowest
        Seconds of the slowest round.
    log
        Bytes that the aggregator logged.
    memory
        Bytes that the aggregator held at most.
    """

    seconds: float
    slowest: float
    log: int
    memory: int


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


def play(place: Place, clips: Clips, folder: Path, rounds: int, flood: Flood | None) -> Rounds:
    """Play the rounds, flooded or not.

    Raises
    ------
    AssertionError
        If a process ends, a round stands still, or the model is another one.
    """
    folder.mkdir()
    with Processes(folder, clips, "conv", "--rounds", str(rounds)) as them:
        them.access = place.words
        aggregator = them.serve(place.port)
        for number in range(DEVICES):
            them.run(number, place.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        if flood:
            flood.start()
        memory = 0

        def is_done() -> bool:
            nonlocal memory
            memory = max(memory, aggregator.peak_memory())
            return them.reached(rounds, "done")

        them.wait(is_done, f"round {rounds} is done")
        them.reach(rounds, simulated(clips.whole, rounds=rounds))
        records = [them.round(number) for number in range(1, rounds + 1)]
    each = [record.ended - record.opened for record in records]
    seconds = records[-1].ended - records[0].opened
    return Rounds(seconds, max(each), aggregator.log.stat().st_size, memory)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--broker", choices=PLACES, default="deployed")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="say all of it as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chorus-flood-") as name:
        folder = Path(name)
        os.environ["CHORUS_CACHE"] = str(folder / "cache")
        for each in ("clips", "broker"):
            (folder / each).mkdir()
        clips = Clips.write(folder / "clips")
        with PLACES[options.broker](folder / "broker") as place:
            quiet = play(place, clips, folder / "quiet", options.rounds, None)
            flood = Flood(place, options.requests, options.seconds)
            flooded = play(place, clips, folder / "flooded", options.rounds, flood)
            lasted, broker = flood.wait(), place.memory()
    if options.json:
        found = {"quiet": asdict(quiet), "flooded": asdict(flooded)}
        json.dump({**found, "lasted": lasted, "broker": broker}, sys.stdout)
        return
    print(f"{options.requests} requests in {lasted:.1f} s through the broker: {options.broker}")
    for title, one in (("undisturbed", quiet), ("flooded", flooded)):
        print(
            f"{title:12} {options.rounds} rounds in {one.seconds:5.1f} s, the slowest "
            f"{one.slowest:4.1f} s; logged {one.log} bytes, held {one.memory / 1e6:.0f} MB"
        )
    ratio = flooded.seconds / quiet.seconds
    print(f"{ratio:.2f} times as long; the broker held {broker / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
