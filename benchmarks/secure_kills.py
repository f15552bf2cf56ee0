"""Secure rounds of real processes, a third of whose devices are killed in one of the stages.

    python -m benchmarks.secure_kills --count 50 --out FOLDER [--devices 6] [--write docs/secure.md]

Each federation has an aggregator with its broker and so many devices, which have joined by
invitation, each in a process of its own. A third of them, drawn by the seed, are killed with
``kill -9``: one federation after the other in each of the five stages, and each of these devices
either before it answers there, or when its answer is ready and has not gone. Then

- the round has ended in the bits of the simulation with the updates that are in its sum, or it was
  abandoned with a reason;
- all that any device has revealed, as the aggregator's journal has it, are shares of one secret of
  each other device; and if the round was abandoned, fewer than take a mask off.

What a federation came to stands in FOLDER, and is not done again. Take another FOLDER when the code
has changed: its devices have joined a federation that begins with the model of then.
"""

import argparse
import json
import os
import random
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aggregator.secure.journal import Journal
from edge_client.simulation.federation import client_name
from edge_client.simulation.studies.experiment_report import markdown_table, write_section
from shared.errors import ProtocolError
from shared.front_ends import WHISPER
from shared.protocol.secure import Revealed
from shared.secure.terms import threshold_of
from shared.task import DEFAULT_TASK, Task
from tests.end_to_end.federation.clips import Clips, simulated_securely
from tests.end_to_end.federation.joining import ByInvitation, JoinedOnce

TASK: Final = Task(DEFAULT_TASK.labels, WHISPER)

STAGES: Final = ("keys", "shares", "masked", "consent", "reveal")
"""What a device does in each, by the names of the methods of ``SecureClient``."""

STAGE_SECONDS: Final = 20
"""How long the aggregator waits for those who are gone."""

HEADER: Final = ["killed while they", "federations", "done", "in the sum", "abandoned"]

SAYS: Final = {
    "keys": "give their keys",
    "shares": "give shares",
    "masked": "mask their update",
    "consent": "sign the survivors",
    "reveal": "reveal shares",
}


@dataclass(frozen=True)
class Outcome:
    """What became of one federation.

    Attributes
    ----------
    number
        Which one.
    stage
        Where devices were killed.
    killed
        Their numbers, each with ``before`` or ``after`` the work of the stage.
    survivors
        The devices whose updates are in the sum; none if the round was abandoned.
    reason
        Why it was abandoned; empty if it was not.
    wrong
        What must not be; empty if all is well.
    seconds
        From the start of the processes.
    """

    number: int
    stage: str
    killed: dict[int, str]
    survivors: list[int]
    reason: str
    wrong: str
    seconds: float


class Kills:
    """Federations of the same devices, which join once.

    Parameters
    ----------
    folder
        Where they are.
    devices
        How many each has.
    seed
        Draws who is killed, and when.
    """

    def __init__(self, folder: Path, devices: int, seed: int) -> None:
        self._devices = devices
        self._seed = seed
        clips = folder / "clips"
        if not clips.exists():
            clips.mkdir()
        self._clips = Clips.write(clips, TASK, devices + 1)
        self._joined = JoinedOnce(folder, self._clips, devices, "head")
        os.environ["CHORUS_CACHE"] = str(folder / "cache")
        os.environ["COLUMNS"] = "200"

    def run(self, number: int) -> Outcome:
        """Run one federation to its end."""
        rng = random.Random(f"{self._seed} {number}")  # noqa: S311 -- to be repeated
        stage = STAGES[number % len(STAGES)]
        victims = sorted(rng.sample(range(self._devices), self._devices // 3))
        killed = {device: rng.choice(("before", "after")) for device in victims}
        begun = time.monotonic()
        count = str(self._devices)
        words = ("--secure", "--rounds", "1", "--quorum", count, "--clients-per-round", count)
        with self._joined.begun(*words, "--round-seconds", str(STAGE_SECONDS)) as them:
            still = {
                device: f"{when} edge_client.secure.client:SecureClient.{stage}"
                for device, when in killed.items()
            }
            for device in range(self._devices):
                them.run(device, them.port, still=still.get(device, ""))
            for device in killed:
                process = them.devices[device]
                them.wait(lambda: process.said("It stands still"), "it is there")  # noqa: B023 -- at once
                process.kill()
            them.wait(lambda: self._over(them), "the round is over", pause=0.05)
            survivors, reason, wrong = self._came_to(them)
        seconds = time.monotonic() - begun
        return Outcome(number, stage, killed, survivors, reason, wrong, seconds)

    @property
    def _kept(self) -> Path:
        return self._joined.place / "journal"

    def _over(self, them: ByInvitation) -> bool:
        """Say whether the round is over; keep its journal, which goes with it, by another name."""
        with suppress(FileNotFoundError, FileExistsError):
            os.link(them.state.secure_round(1), self._kept)
        record = them.round(1)
        return record is not None and record.ended is not None

    def _came_to(self, them: ByInvitation) -> tuple[list[int], str, str]:
        """Say who is in the sum, or why there is none; and what is wrong."""
        record = them.round(1)
        names = {client_name(device): device for device in range(self._devices)}
        shown = revealed_too_much(self._kept, self._devices, done=record.state == "done")
        if "Traceback" in them.said:
            shown = f"{shown} A process has failed.".strip()
        if record.state != "done":
            return [], record.note, shown or ("" if record.note else "No reason is given.")
        survivors = [names[name] for name in them.clients(1)]
        whole = self._clips.whole
        expected = simulated_securely(whole, TASK, [survivors], self._devices + 1)
        if them.weights().tobytes() != expected.tobytes():
            shown = f"{shown} Its bits are not the simulation's.".strip()
        return survivors, "", shown


def revealed_too_much(journal: Path, devices: int, *, done: bool) -> str:
    """Say what devices have revealed that they must not; empty if nothing."""
    answers: list[Revealed] = []
    book = Journal(journal)
    for _, message in book.entries():
        with suppress(ProtocolError):  # it is of another stage, or a masked update
            answers.append(Revealed.decode(message))
    book.close()
    seeds = {name for answer in answers for name in answer.seeds}
    keys = {name for answer in answers for name in answer.keys}
    if seeds & keys:
        return f"Shares of both secrets of {', '.join(sorted(seeds & keys))} are revealed."
    if not done and len(answers) >= threshold_of(devices):
        return "It was abandoned with shares enough to take masks off."
    return ""


def table_of(outcomes: list[Outcome]) -> list[list[str]]:
    """Put together what became of the federations, a row for each stage."""
    rows: list[list[str]] = [HEADER]
    for stage in STAGES:
        ours = [outcome for outcome in outcomes if outcome.stage == stage]
        done = [outcome for outcome in ours if outcome.survivors]
        sums = sorted({len(outcome.survivors) for outcome in done})
        rows.append(
            [
                *(SAYS[stage], str(len(ours)), str(len(done))),
                *(" or ".join(map(str, sums)) or "-", str(len(ours) - len(done))),
            ]
        )
    return rows


def main() -> None:
    """Run as many as the command line says, but for those that were run already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="of federations")
    parser.add_argument("--numbers", type=int, nargs="+", help="those to run, instead of all")
    parser.add_argument("--devices", type=int, default=6, help="of each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--write", type=Path, help="document that has a section 'kills'")
    arguments = parser.parse_args()
    folder = arguments.out.resolve() / f"{arguments.devices}-{arguments.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "outcomes.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines]
    kills = Kills(folder, arguments.devices, arguments.seed)
    asked = arguments.numbers or range(arguments.count)
    for number in sorted(set(asked) - {outcome.number for outcome in outcomes}):
        outcome = kills.run(number)
        outcomes.append(outcome)
        with results.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        came_to = outcome.reason or f"done, {len(outcome.survivors)} in the sum"
        print(f"{number} {outcome.stage}: {came_to} {outcome.wrong}", flush=True)
    rows = table_of(outcomes)
    print("\n".join("  ".join(row) for row in rows))
    if arguments.write:
        when = f"{datetime.now(UTC):%Y-%m-%d}, {len(outcomes)} federations of "
        when += f"{arguments.devices} devices, {arguments.devices // 3} of them killed."
        write_section(arguments.write, "kills", f"{when}\n\n{markdown_table(rows)}")
    if wrong := [outcome for outcome in outcomes if outcome.wrong]:
        sys.exit("\n".join(f"{outcome.number}: {outcome.wrong}" for outcome in wrong))


if __name__ == "__main__":
    main()
