"""Honest devices among attackers, kills and a breaking line, for as many minutes as are given.

    python -m benchmarks.soak --minutes 30 [--broker embedded] [--seed 1]

Two devices train on synthetic clips; every process is one of its own. Meanwhile, drawn by the seed,
an attacker with a device's rights does one thing after the other, another one that is invited to
every round begins updates that it never ends, processes are killed with ``kill -9`` and started
again, and one device's line breaks. When the time is up all that ends; the round that is open is
finished, and the model has to be that of an undisturbed simulation, bit for bit. At the end it
shows:

- the rounds that were done, and what happened meanwhile;
- memory: the most that a process of each kind has held;
- log: bytes that each has logged;
- disk: the most that the state of each has taken.

With ``deployed`` the broker is Mosquitto as ``deploy/mosquitto`` makes it, with ``embedded`` the
aggregator's own. That one has no rules, so an attacker could do everything: there, it does not
speak for others.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final

from edge_client.simulation.federation import client_name
from tests.end_to_end.federation.attacker import NAME, SIXTEEN, Attacker
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.place import PLACES, Place
from tests.end_to_end.federation.processes import Processes, invites
from tests.proxy import Proxy, proxy_to

LOOK: Final = 0.5
"""Seconds between two looks at memory and disk."""

PAUSE: Final = 3.0
"""Seconds between two things that happen, in the mean."""

MOST_ROUNDS: Final = 100_000

INVITED: Final = SIXTEEN[0]

ATTACKS: Final[dict[str, Callable[[Attacker], None]]] = {
    "asks for what is not there": lambda it: it.ask_for_what_is_not_there(1000),
    "asks for everything": lambda it: it.ask_for_everything(3),
    "says numbers beyond all bounds": lambda it: it.say_numbers_beyond_all_bounds(),
    "becomes the model": lambda it: it.become_the_model(),
    "leaves messages": lambda it: it.leave_messages(500, 1000),
    "announces another run": lambda it: it.announce(run="f" * 32),
    "announces another round": lambda it: it.announce(round=999_999),
}

OF_ONE_INVITED: Final[dict[str, Callable[[Attacker], None]]] = {
    "sends single bytes": lambda it: it.send_single_bytes(5000),
    "holds a place": lambda it: it.hold_a_place(),
}
"""What one does whose update would be welcome, if it ever ended."""

FOR_RULES: Final[dict[str, Callable[[Attacker], None]]] = {
    "is another": lambda it: it.be_another(client_name(0)),
    "takes another's place": lambda it: it.take_the_place_of(client_name(0)),
}
"""What only rules keep from doing harm."""


class Soak:
    """A federation, and what happens to it.

    Parameters
    ----------
    them
        Its processes.
    place
        Its broker.
    line
        The way of the first device.
    seed
        Draws what happens, and when.
    """

    def __init__(self, them: Processes, place: Place, line: Proxy, seed: int) -> None:
        self.them = them
        self.place = place
        self.line = line
        self.rng = random.Random(seed)  # noqa: S311 -- no secret
        self.happened: Counter[str] = Counter()
        self.memory: Counter[str] = Counter()
        self.disk: Counter[str] = Counter()
        self.attacks = ATTACKS | OF_ONE_INVITED | (FOR_RULES if place.rules else {})

    def run(self, seconds: float) -> int:
        """Let things happen; give the number of the round that is open at the end."""
        self.them.serve(self.place.port)
        for number in range(DEVICES):
            self._start(number)
        with closing(Attacker(self.place.settings_of(INVITED), INVITED)) as invited:
            invited.be_ready()
        self.them.wait(lambda: self.them.round(1), "round 1 is open")
        end, due = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now > due:
                self.happen()
                due = now + self.rng.expovariate(1 / PAUSE)
            self.look()
            time.sleep(LOOK)
        self.line.heal()
        return int(self.them.read(lambda history: history.last_round().number))

    def happen(self) -> None:
        """Let one thing happen."""
        what = self.rng.choice(["attack", "attack", "kill", "line"])
        if what == "attack":
            what = self.rng.choice(list(self.attacks))
            self._attack(what)
        elif what == "kill":
            what = self._kill()
        elif self.line.is_cut:
            self.line.heal()
            return
        else:
            self.line.cut()
            what = "the line breaks"
        self.happened[what] += 1

    def look(self) -> None:
        """Take note of memory and disk."""
        processes = {"aggregator": self.them.aggregator}
        processes |= {client_name(number): each for number, each in self.them.devices.items()}
        for name, process in processes.items():
            self.memory[name] = max(self.memory[name], process.peak_memory() if process else 0)
            size = sum(_size(path) for path in (self.them.folder / name).rglob("*"))
            self.disk[name] = max(self.disk[name], size)
        self.memory["broker"] = max(self.memory["broker"], self.place.memory())

    def end(self) -> None:
        """Kill the aggregator."""
        if aggregator := self.them.aggregator:
            aggregator.kill()

    def _start(self, number: int) -> None:
        self.them.run(number, self.place.port if number else self.line.port)

    def _attack(self, what: str) -> None:
        name = INVITED if what in OF_ONE_INVITED else NAME
        with suppress(OSError, AssertionError):  # it hears of no round, or is not let in just now
            attacker = Attacker(self.place.settings_of(name), name)
            self.attacks[what](attacker)
            attacker.close()

    def _kill(self) -> str:
        number = self.rng.randrange(-1, DEVICES)
        if number < 0:
            self.end()
            self.them.serve(self.place.port)
            return "the aggregator is killed"
        self.them.devices[number].kill()
        self._start(number)
        return f"{client_name(number)} is killed"


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size if path.is_file() else 0
    return 0


def soak(minutes: float, broker: str, seed: int, folder: Path) -> dict[str, Any]:
    """Run it in a folder; give what came of it.

    Raises
    ------
    AssertionError
        If a process ends, a round stands still, or the model is another one.
    """
    (folder / "clips").mkdir()
    (folder / "broker").mkdir()
    (folder / "state").mkdir()
    clips = Clips.write(folder / "clips")
    with ExitStack() as stack:
        place = stack.enter_context(PLACES[broker](folder / "broker"))
        line = stack.enter_context(proxy_to(place.port))
        more = ("--rounds", str(MOST_ROUNDS), "--keep-models", "50", *invites(1))
        them = stack.enter_context(Processes(folder / "state", clips, "conv", *more))
        them.access = place.words
        it = Soak(them, place, line, seed)
        last = it.run(60 * minutes)
        them.wait(lambda: them.reached(last, "done"), f"round {last} is done")
        it.end()
        rounds = them.current().round
        them.reach(rounds, simulated(clips.whole, rounds=rounds))
        logs = {path.stem: path.stat().st_size for path in them.folder.glob("*.log")}
    return {
        "rounds": rounds,
        "happened": dict(it.happened),
        "memory": dict(it.memory),
        "log": logs,
        "disk": dict(it.disk),
    }


def main() -> None:
    """Run the soak as the command line says."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--broker", choices=PLACES, default="deployed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="say all of it as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chorus-soak-") as name:
        os.environ["CHORUS_CACHE"] = str(Path(name, "cache"))
        found = soak(options.minutes, options.broker, options.seed, Path(name))
    if options.json:
        json.dump(found, sys.stdout)
        return
    print(f"{found['rounds']} rounds, with the bits of an undisturbed run")
    for what, count in sorted(found["happened"].items()):
        print(f"{count:5} x {what}")
    print("\n" + "MB".ljust(14) + "memory    log   disk")
    for who in found["memory"]:
        sizes = (found[kind].get(who, 0) / 1e6 for kind in ("memory", "log", "disk"))
        print(who.ljust(14) + " ".join(f"{size:6.2f}" for size in sizes))


if __name__ == "__main__":
    main()
