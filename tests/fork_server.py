"""Starts commands as forks of a process that has imported their modules already.

A federation of real processes imports the same modules a thousand times in this suite, half a
second of processor each. What is started here is the command all the same, in a process of its own
that can be killed; commands as a shell starts them are in other tests (``test_first_try.py``,
``test_listening.py`` and more).
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn, Self

BIN: Final = Path(sys.executable).parent

IMPORTED: Final = {
    "aggregator": (
        *("aggregator.cli", "aggregator.commands.invite", "aggregator.commands.serve"),
        *("aggregator.enrolment.links", "aggregator.server.run", "rich.console"),
    ),
    "edge-client": (
        *("edge_client.cli", "edge_client.commands.join", "edge_client.commands.run"),
        *("edge_client.federation.taking_part", "edge_client.join", "edge_client.run"),
        *("edge_client.tflite.engine", "soundfile", "rich.console"),
    ),
}
"""What is imported before a command's processes are forked."""

CHANGED: Final = Path(__file__).parent / "end_to_end" / "federation"
"""Where scripts are that are a command, their first word, but for something."""


def forkable(command: Sequence[str]) -> str | None:
    """Name the command of ours that is to be started, as it is or changed, if it can be here."""
    program, *words = command
    if program == sys.executable and Path(words[0]).parent == CHANGED:
        program = str(BIN / words[1])
    names = {str(BIN / name): name for name in IMPORTED}
    # What is to be loaded into a process is loaded as it starts.
    return None if "LD_PRELOAD" in os.environ else names.get(program)


class ForkServer:
    """The server of one command, in a process of its own.

    Parameters
    ----------
    name
        The command.
    """

    def __init__(self, name: str) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", name, str(its.fileno())],
                cwd=Path(__file__).parents[1],
                pass_fds=[its.fileno()],
                stdout=subprocess.DEVNULL,
            )
        self._link = ours.makefile("rw")
        self._one = threading.Lock()

    @classmethod
    @cache
    def of(cls, name: str) -> Self:
        """Give the server of a command; it ends with this process."""
        return cls(name)

    def ask(self, **what: Any) -> Any:
        """Ask for something, and wait for the answer."""
        with self._one:
            print(json.dumps(what), file=self._link, flush=True)
            return json.loads(self._link.readline())


class Forked:
    """A forked command, with what tests use of ``subprocess.Popen``.

    Parameters
    ----------
    command
        What to run: see :func:`forkable`.
    out, errors
        The files that its words are added to; one for both, if ``errors`` is not given.
    """

    def __init__(self, command: Sequence[str], out: Path, errors: Path | None = None) -> None:
        name = forkable(command)
        assert name
        self._server = ForkServer.of(name)
        self.pid: int = self._server.ask(
            start=command,
            folder=str(Path.cwd()),
            environment=dict(os.environ),
            outputs=[str(out), str(errors or out)],
        )
        self._code: int | None = None
        # Until the server looks, the process is there: it can be waited for by its number.
        self._end = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Give its exit code, if it has ended."""
        return self._code if self._ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self._code is not None
        return self._code

    def _ended(self, timeout: float | None) -> bool:
        """Say whether it has ended, or does in time; tests ask hundreds of times a second."""
        if self._code is None and select.select([self._end], [], [], timeout)[0]:
            os.close(self._end)
            self._code = self._server.ask(look=self.pid)
        return self._code is not None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """``kill -9``."""
        self.send_signal(signal.SIGKILL)


def run(command: Sequence[str], timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    if not forkable(command):
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        code = Forked(command, out, errors).wait(timeout)
        return subprocess.CompletedProcess(command, code, out.read_text(), errors.read_text())


def serve(name: str, link: socket.socket) -> None:
    """Fork whatever is asked for; return in the new process, to run the command there."""
    for module in IMPORTED[name]:
        import_module(module)
    if name == "edge-client":
        from shared.tflite import find_runtime

        find_runtime(said=False)  # whichever there is, with symbols of its own
    gc.collect()
    gc.freeze()
    codes: dict[int, int] = {}
    with link, link.makefile("rw") as words:
        for line in words:
            asked = json.loads(line)
            answer: int | None
            if "start" in asked:
                answer = os.fork()
                if not answer:
                    become(**asked)
                    return
            else:
                answer = look(asked["look"], codes)
            print(json.dumps(answer), file=words, flush=True)
    sys.exit()


def look(pid: int, codes: dict[int, int]) -> int | None:
    """Give the exit code of a process, if it has ended."""
    if pid not in codes:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        codes[pid] = os.waitstatus_to_exitcode(status)
    return codes[pid]


def become(start: list[str], folder: str, environment: dict[str, str], outputs: list[str]) -> None:
    """Let this process be as if a shell had started it."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, start=1):
        with Path(path).open("ab") as file:
            os.dup2(file.fileno(), number)
    sys.argv = start[1:] if start[0] == sys.executable else start


def main() -> NoReturn:
    """Serve, and in each new process run the command."""
    name, number = sys.argv[1:]
    serve(name, socket.socket(fileno=int(number)))
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    import_module(f"{name.replace('-', '_')}.cli").main()
    raise AssertionError("a command ends its process")


if __name__ == "__main__":
    main()
