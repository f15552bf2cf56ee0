"""A federation of real processes through a real broker."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from edge_client.device.state import DeviceFolder
from edge_client.federation.client_state import remembered
from edge_client.simulation.federation import client_name
from shared.architectures import architecture_of
from shared.errors import ChorusError
from shared.weights import Weights, load_weights
from tests.aggregator.driver import UNPACED
from tests.brokers import peak_memory
from tests.end_to_end.federation.clips import DEVICES, ROUNDS, Clips
from tests.fork_server import BIN, Forked, forkable

STAND_STILL = Path(__file__).with_name("stand_still.py")
HURRIED = Path(__file__).with_name("hurried.py")
LIAR = Path(__file__).with_name("liar.py")
PATIENCE = 300.0
"""Seconds after which waiting is a failure: processes start slowly on a busy machine."""


def _command(name: str, still: str, waits: Mapping[str, float]) -> list[str | Path]:
    """Give the words that start a command, that let it stand still somewhere, or wait less."""
    if still:
        return [sys.executable, STAND_STILL, name, *still.split()]
    package = name.replace("-", "_")
    own = [
        f"{place}={waits[place]}" for place in waits if place.startswith((f"{package}.", "shared."))
    ]
    return [sys.executable, HURRIED, name, ",".join(own)] if own else [BIN / name]


def invites(others: int) -> tuple[str, ...]:
    """Give the words with which so many others are invited too, and not waited for."""
    return (
        *("--quorum", str(DEVICES + others)),
        *("--clients-per-round", str(DEVICES), "--over-selection", str(others / DEVICES)),
    )


class Process:
    """A command in a process of its own; what it says goes to a file.

    Parameters
    ----------
    log
        The file; what processes before it have said stays there.
    command
        What to run.
    """

    def __init__(self, log: Path, *command: str | Path) -> None:
        self.log = log
        words = [str(word) for word in command]
        self._process: subprocess.Popen[bytes] | Forked
        with log.open("a") as file:
            self._begin = file.tell()
            if forkable(words):
                self._process = Forked(words, log)
            else:
                self._process = subprocess.Popen(words, stdout=file, stderr=file)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._process.wait()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait(self) -> int:
        """Wait, bounded, for its end; give its exit code."""
        return self._process.wait(PATIENCE)

    def peak_memory(self) -> int:
        """Give the bytes of memory that it has held at most."""
        return 0 if self.ended else peak_memory(self._process.pid)

    def said(self, words: str) -> int:
        """Count how often it has said something; what one before it has said does not count."""
        return self.log.read_bytes()[self._begin :].count(words.encode())


class Processes(ExitStack):
    """The processes of one federation.

    Updates are sent as they are, if no other codec is asked for: so there is time for mischief.

    Parameters
    ----------
    folder
        Where their state and logs are.
    clips
        What devices train on.
    model
        The architecture.
    more
        Further words for ``aggregator serve``.

    Attributes
    ----------
    access
        Gives a device's, or the ``aggregator``'s, further words about the broker.
    waits
        Seconds that processes wait instead of their own, by ``module:NAME`` of a constant.
    """

    def __init__(self, folder: Path, clips: Clips, model: str = "conv", *more: str) -> None:
        super().__init__()
        self.folder = folder
        self.clips = clips
        self.model = model
        self.more = more
        self.access: Callable[[str], Sequence[str]] = lambda _: ()
        self.waits: Mapping[str, float] = {}
        self.state = FederationFolder(folder / "aggregator")
        self.aggregator: Process | None = None
        self.devices: dict[int, Process] = {}
        self._all: list[Process] = []

    def serve(self, port: int, still: str = "") -> Process:
        """Start the aggregator; let it stand still somewhere (see ``stand_still.py``)."""
        words = f"serve --rounds {ROUNDS} --quorum {DEVICES} --model {self.model} --port {port}"
        words += "".join(f" --{name.replace('_', '-')} {value}" for name, value in UNPACED.items())
        words += " --initial fresh"  # as a simulation begins
        # Given twice, both would be welcome; secure rounds have their own.
        if not {"--codecs", "--secure"}.intersection(self.more):
            words += " --codecs float32"
        log = self.folder / "aggregator.log"
        self.aggregator = self._start(
            log,
            *_command("aggregator", still, self.waits),
            *words.split(),
            "--state",
            self.state.path,
            *self.clips.options,
            *self.access("aggregator"),
            *self.more,
        )
        return self.aggregator

    def run(
        self,
        number: int,
        port: int,
        threads: int = 1,
        *,
        still: str = "",
        lies: str = "",
        state: str = "",
    ) -> Process:
        """Start a device; one that stands still somewhere, or lies (``liar.py``).

        ``state`` names another folder than its own.
        """
        name = client_name(number)
        honest = _command("edge-client", still, self.waits)
        words = f"run --client {name} --port {port} --holdout 0 --threads {threads}"
        self.devices[number] = self._start(
            self.folder / f"{state or name}.log",
            *([sys.executable, LIAR, "edge-client", lies] if lies else honest),
            *words.split(),
            "--clips",
            self.clips.devices[number],
            "--state",
            self.folder / (state or name),
            *self.clips.options,
            *self.access(name),
        )
        return self.devices[number]

    def _start(self, log: Path, *command: str | Path) -> Process:
        process = Process(log, *command)
        self.callback(process.kill)
        self._all.append(process)
        return process

    def remembered(self, number: int) -> dict[str, Any]:
        """Give what a device keeps of its part on its disk."""
        state = DeviceFolder(self.folder / client_name(number))
        return remembered(state.federations / "chorus")

    def read(self, what: Callable[[History], Any]) -> Any:
        """Read the ledger, beside the aggregator; ``None`` while there is none."""
        if not self.state.ledger.exists():
            return None
        try:
            with History(self.state.ledger) as history:
                return what(history)
        except (ChorusError, OSError):
            return None  # it is being made

    def round(self, number: int) -> Any:
        """Give what the ledger has of a round; ``None`` before it is opened."""
        return self.read(lambda history: history.round(number))

    def reached(self, number: int, state: str) -> bool:
        """Say whether a round is in a state."""
        record = self.round(number)
        return record is not None and record.state == state

    def clients(self, number: int) -> list[str]:
        """Name those whose update counts in a round."""
        updates = self.read(lambda history: history.updates(number)) or ()
        return [update.client for update in updates]

    def counted(self, number: int) -> int:
        """Count a round's accepted updates."""
        return len(self.clients(number))

    def update(self, number: int, device: int) -> Any:
        """Give what the ledger has of a device's update in a round, once it counts."""
        return self.read(lambda history: history.update(number, client_name(device)))

    def current(self) -> Any:
        """Give the current version of the model."""
        return self.read(lambda history: history.current())

    def wait_for_model(self) -> Any:
        """Give the first version of the model, once it is there."""
        self.wait(self.current, "there is a model")
        return self.current()

    def safe(self, number: int) -> int:
        """Count the bytes of a device's update that are safe at the aggregator, until it counts."""
        total = 0
        for path in self.state.uploads.glob(f"{client_name(number)}-*.ranges"):
            with suppress(FileNotFoundError):  # it counts by now
                # Each line is a range, and its checksum.
                for line in path.read_text().splitlines():
                    begin, end, _ = line.split()
                    total += int(end) - int(begin)
        return total

    def uploading(self) -> bool:
        """Say whether part of an update has arrived, safe or not."""
        return any(path.stat().st_size for path in self.state.uploads.glob("*.part"))

    def wait(self, condition: Callable[[], object], what: str, pause: float = 0.02) -> None:
        """Wait on a condition, bounded, while no process fails; look again after a pause."""
        end = time.monotonic() + PATIENCE
        while not condition():
            failed = [each.code for each in self._all if each.code not in (None, 0, -9)]
            assert not failed, f"it ended, before {what}\n{self.said}"
            assert time.monotonic() < end, f"still not: {what}\n{self.said}"
            time.sleep(pause)

    @property
    def said(self) -> str:
        """All that all have said."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def finish(self, expected: Weights, devices: int = DEVICES) -> None:
        """Wait for the end; check that each update counted once, and the result.

        Parameters
        ----------
        expected
            The result.
        devices
            How many of the devices, the first of them, have an update in each round.
        """
        self.reach(ROUNDS, expected, devices)
        # Nothing was taken for what it is not.
        assert not self.read(lambda history: history.refusals())
        assert "arrived damaged" not in self.said
        assert "not what was offered" not in self.said

    def reach(self, rounds: int, expected: Weights, devices: int = DEVICES) -> None:
        """Wait until so many rounds are done; check that each update counted once, and the result.

        Whatever else was offered may have been refused.
        """
        # What lasts need not be looked for as often as what passes.
        self.wait(lambda: self.reached(rounds, "done"), f"round {rounds} is done", pause=0.05)
        for number in range(1, rounds + 1):
            assert self.reached(number, "done")
            assert self.clients(number) == [client_name(device) for device in range(devices)]
        assert "Traceback" not in self.said
        assert self.weights().tobytes() == expected.tobytes()

    def weights(self) -> Weights:
        """Give the weights of the current version of the model."""
        path = self.state.models / f"{self.current().digest}.safetensors"
        return load_weights(path, architecture_of(self.model, self.clips.task))
