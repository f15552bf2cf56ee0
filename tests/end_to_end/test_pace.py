"""Rounds at the pace of people: real processes, a device that hears, and somebody who labels."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_client.cli import app
from edge_client.device.store import ExampleStore
from tests.brokers import Mosquitto
from tests.end_to_end.conftest import EDGE_CLIENT
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Process, Processes
from tests.end_to_end.listening import model, recording

__all__ = ["model", "recording"]

PACE = ("--quorum", "1", "--least-examples", "2", "--new-examples", "2", "--every", "0")


class Home:
    """A device that hears four utterances, and a federation of its own."""

    def __init__(self, them: Processes, port: int, recording: Path, model: Path) -> None:
        self.them = them
        self.state = them.folder / "device"
        self._port = port
        self._heard = (recording, model)
        self.aggregator = them.serve(port)
        self.device = self.start()
        them.wait(lambda: self.store_has("unlabelled", 4), "it has heard")

    def start(self) -> Process:
        recording, model = self._heard
        return self.them._start(
            self.them.folder / "device.log",
            *(EDGE_CLIENT, "run", "--wav", recording, "--fast", "--headless", "--weights", model),
            *("--state", self.state, "--client", "kitchen", "--threads", "1"),
            *("--terms-fewest-examples", "1"),
            # With a page it stays when the recording has ended.
            *("--web", "127.0.0.1:0", "--port", str(self._port)),
        )

    def kill_both(self) -> None:
        """``kill -9`` the aggregator and the device, and start them again."""
        self.aggregator.kill()
        self.device.kill()
        self.aggregator, self.device = self.them.serve(self._port), self.start()

    def store_has(self, name: str, count: int) -> bool:
        path = self.state / "examples.sqlite"
        if not path.exists():
            return False
        with ExampleStore(path, limit_mb=10) as store:
            return store.counts()[name] >= count

    def label(self, *identifiers: int) -> None:
        """Label as another process does it: the device hears of it by itself."""
        with ExampleStore(self.state / "examples.sqlite", limit_mb=10) as store:
            for identifier in identifiers:
                store.label(identifier, "sad")

    def lacks(self) -> int | None:
        """Ask ``edge-client status --json`` how many examples the device waits for."""
        # Asked often: in this process it takes a tenth of the time.
        asked = CliRunner().invoke(app, ["status", "--state", str(self.state), "--json"])
        assert asked.exit_code == 0, asked.output
        part: dict[str, Any] = json.loads(asked.stdout)["federations"].get("chorus", {})
        return part.get("lacks")

    def waits(self, *, lacking: int) -> None:
        """Wait until both sides say that the device waits, and for how many examples."""
        self.them.wait(lambda: self.lacks() == lacking, f"it lacks {lacking}")


@pytest.fixture
def home(
    tmp_path: Path, recording: Path, model: Path, mosquitto: Mosquitto
) -> Iterator[Callable[..., Home]]:
    with Processes(tmp_path, Clips(Path(), ()), "conv", *PACE) as them:
        yield lambda: Home(them, mosquitto.port, recording, model)


def test_one_example_makes_no_round_and_a_second_one_does_whatever_is_killed(
    home: Callable[[], Home],
) -> None:
    it = home()
    them = it.them
    it.label(1)
    it.waits(lacking=1)
    assert not them.round(1)
    it.kill_both()
    said = "it has 1 of the 2 labelled examples that it needs"
    them.wait(lambda: it.device.said(said), "it says what it has")
    it.waits(lacking=1)
    assert not them.round(1), "one example is too few, after a restart too"

    it.label(2)
    them.wait(lambda: them.reached(1, "done"), "a round opens by itself")
    it.waits(lacking=2)
    said = "Round 2 waits until one client has 2 new labelled examples, 1 is ready to train."
    them.wait(lambda: it.aggregator.said(said), "it says what it waits for")
    assert not them.round(2)

    it.label(3)
    it.waits(lacking=1)
    it.kill_both()
    them.wait(lambda: it.aggregator.said(said), "it says so again")
    it.waits(lacking=1)
    assert not them.round(2), "what was learned counts as learned, after a restart too"

    it.label(4)
    them.wait(lambda: them.reached(2, "done"), "the next round opens by itself")
    assert them.clients(1) == them.clients(2) == ["kitchen"]
    assert them.read(lambda history: history.clients())[0].examples == 4
    assert "Traceback" not in them.said
