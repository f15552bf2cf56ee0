"""What somebody sees who tries it first: no settings, a home with nothing in it, several commands.

Only the port is given, by the environment, as the usual one may be taken on the tests' machine.
"""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shared.corpora import load_corpus
from shared.starter import STARTER_TASK
from shared.weights import load_weights
from tests.brokers import BOUND, free_port, wait_until
from tests.end_to_end.conftest import EDGE_CLIENT

AGGREGATOR = EDGE_CLIENT.with_name("aggregator")
SCRIPT = Path(__file__).parents[2] / "scripts" / "federation.py"


class Terminals:
    """Commands in the terminals of one new user."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CHORUS_", "XDG_"))
        }
        port = str(free_port())
        self.environment |= {"HOME": str(home)}
        self.environment |= {f"CHORUS_{name}_PORT": port for name in ("EDGE", "AGGREGATOR")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def type(self, name: str, *line: str | Path) -> None:
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [str(word) for word in line],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self, name: str) -> str:
        return self._log(name).read_text()

    def wait_for(self, name: str, words: str) -> None:
        process = self._processes[name]
        wait_until(
            lambda: words in self.said(name) or process.poll() is not None, f"{name}: {words}"
        )
        assert words in self.said(name), self.said(name)

    def end(self, name: str, number: int | None = None) -> int:
        """Wait until a command has ended, by a signal or by itself; give its exit code."""
        process = self._processes[name]
        if number is not None:
            process.send_signal(number)
        return process.wait(BOUND)

    def close(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(BOUND)

    def _log(self, name: str) -> Path:
        return self.home / f"{name}.log"


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    opened = Terminals(tmp_path)
    yield opened
    opened.close()


def write_clips(folder: Path) -> list[Path]:
    """Write clips of two voices, in folders named by emotion."""
    import soundfile

    for clip in load_corpus("synthetic", speakers=2, clips_per_speaker=8).clips:
        path = folder / str(clip.speaker) / str(clip.label) / f"{clip.identifier[-1]}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip.read(), 16_000)
    return sorted(folder.iterdir())


def test_a_federation_without_any_configuration(terminals: Terminals, tmp_path: Path) -> None:
    one, other = write_clips(tmp_path / "clips")
    terminals.type("aggregator", AGGREGATOR, "serve", "--embedded-broker", "--rounds", "1")
    terminals.wait_for("aggregator", "Round 1 waits for 2 clients, none is ready to train.")
    terminals.type("one", EDGE_CLIENT, "run", "--clips", one)
    terminals.wait_for("aggregator", "Round 1 waits for 2 clients, 1 is ready to train.")
    terminals.type("other", EDGE_CLIENT, "run", "--clips", other)
    terminals.wait_for("one", "Round 1: the update was accepted.")
    terminals.wait_for("one", "Round 1 was the last; the model is in ")
    assert terminals.end("other", signal.SIGTERM) == 0
    assert terminals.end("one", signal.SIGINT) == 0
    assert terminals.end("aggregator") == 0
    assert "accepted updates of this device: 1. The same command" in terminals.said("one")
    said = terminals.said("aggregator")
    assert "Round 1 is done: 2 updates, 0.0 MB, training loss " in said
    assert "`aggregator models export` writes its model" in said

    terminals.type("status", AGGREGATOR, "status")
    assert terminals.end("status") == 0
    assert "2 accepted" in terminals.said("status")
    terminals.type("export", AGGREGATOR, "models", "export")
    assert terminals.end("export") == 0
    _, architecture = load_weights(tmp_path / "model.safetensors")
    assert (architecture.name, architecture.task) == ("head", STARTER_TASK)
    for name in ("aggregator", "one", "other"):
        assert "Traceback" not in terminals.said(name)


def test_a_second_aggregator_of_the_same_federation_is_told_in_one_sentence(
    terminals: Terminals,
) -> None:
    terminals.type("first", AGGREGATOR, "serve", "--embedded-broker", "--rounds", "20")
    terminals.wait_for("first", "Connected to the broker")
    terminals.type("second", AGGREGATOR, "serve", "--embedded-broker")
    assert terminals.end("second") == 19
    assert "is in use by another process." in terminals.said("second")
    assert terminals.said("second").count("\n") == 2, "the sentence, and its remedy"
    assert terminals.end("first", signal.SIGINT) == 0
    assert "Stopped before round 1 of 20; the same command goes on" in terminals.said("first")


def test_a_device_that_nobody_answers_says_so(terminals: Terminals, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips")[0]
    terminals.type("aggregator", AGGREGATOR, "serve", "--embedded-broker")
    terminals.wait_for("aggregator", "Connected to the broker")
    terminals.type("device", EDGE_CLIENT, "run", "--clips", clips, "--federation", "elsewhere")
    terminals.wait_for("device", "Nobody has announced a round of the federation elsewhere yet")
    assert terminals.end("device", signal.SIGINT) == 0


def test_a_terminal_shows_a_live_table(terminals: Terminals) -> None:
    environment = terminals.environment | {"TERM": "xterm", "COLUMNS": "120"}
    line = [str(AGGREGATOR), "serve", "--embedded-broker", "--rounds", "20"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(line[0], line, environment)  # noqa: S606 -- no shell is needed
    shown = ""
    with suppress(OSError):  # the terminal's end
        while piece := os.read(terminal, 4096):
            shown += piece.decode(errors="replace")
            if "waits for 2 clients, none is ready to train" in shown and "Stopped" not in shown:
                os.kill(child, signal.SIGINT)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "UAR before" in shown
    assert "Stopped before round 1 of 20; the same command goes on from there." in shown


def test_the_shown_federation_ends_all_its_processes(terminals: Terminals, tmp_path: Path) -> None:
    terminals.type("shown", sys.executable, SCRIPT, tmp_path / "federation")
    terminals.wait_for("shown", "What each device says is in")
    assert terminals.end("shown", signal.SIGTERM) == 130
    assert "Stopped; all processes have ended." in terminals.said("shown")
    leader = terminals._processes["shown"].pid
    with pytest.raises(ProcessLookupError):
        os.killpg(leader, 0)
