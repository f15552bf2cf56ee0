"""Real brokers for tests: Mosquitto, and the aggregator's own.

A test that asks for the fixture ``mosquitto`` is left out, and says so, where Mosquitto is missing.
"""

import itertools
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from shared.mqtt.broker_settings import BrokerSettings

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
"""Debian keeps it where only root looks."""

_MISSING = "Mosquitto is missing (apt-get install mosquitto)"

BOUND = 60.0
"""Seconds after which waiting is a failure; a busy machine is slow."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait on a condition, bounded."""
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.01)


_PORTS_EACH = 1_500


def _ports() -> Iterator[int]:
    """Give ports in turn, those of this worker of pytest, beginning anywhere among them.

    A port whose listener was killed, to be started again, is given to nobody else meanwhile.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    begin = random.randrange(_PORTS_EACH)  # noqa: S311 - not cryptography
    for number in itertools.count(begin):
        yield 20_000 + worker * _PORTS_EACH + number % _PORTS_EACH


_NEXT = _ports()


def free_port() -> int:
    """Find a port nobody listens on.

    It is below those that outgoing connections are given: a client that tries again and again to
    connect to a port of that range may at last meet itself.
    """
    while True:
        port = next(_NEXT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def has_ipv6() -> bool:
    """Say whether this machine can be reached by IPv6, if only from within."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether somebody takes connections at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


def peak_memory(pid: int) -> int:
    """Give the bytes of memory that a process has held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


class Mosquitto:
    """A Mosquitto on a port of its own, that can be killed and started again.

    Parameters
    ----------
    folder
        Where its configuration, its log and its store of retained messages are.
    more
        Lines of ``mosquitto.conf`` besides those that let anybody in on the loopback interface.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._file = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {self.folder}/",
        ]
        if os.geteuid() == 0:
            # Else it becomes a user who may not write here.
            lines.append("user root")
        self._file.write_text("\n".join([*lines, *more, ""]))

    @property
    def settings(self) -> BrokerSettings:
        """How to reach it."""
        return BrokerSettings(port=self.port)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert MOSQUITTO
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._file)], stdout=log, stderr=log
            )
        wait_until(lambda: self._ended() or listens(self.port), "Mosquitto listens")
        assert not self._ended(), self.log.read_text()

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """Kill it: what it had not stored is lost (everything, without :meth:`stop` before)."""
        if self._process:
            self._process.kill()
            self._process.wait(BOUND)

    def stop(self) -> None:
        """Stop it in good order: retained messages are kept."""
        if self._process:
            self._process.terminate()
            self._process.wait(BOUND)

    def reload(self) -> None:
        """Let it read its files anew, as `systemctl reload mosquitto` does."""
        assert self._process
        self._process.send_signal(signal.SIGHUP)

    def may_open(self, files: int) -> None:
        """Let it have so many files open from now on."""
        assert self._process
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (files, files))

    def peak_memory(self) -> int:
        """Bytes of memory it has held at most."""
        assert self._process
        return peak_memory(self._process.pid)


class WebMosquitto(Mosquitto):
    """A Mosquitto that speaks websockets on a second port (Debian's needs a plain one too)."""

    def __init__(self, folder: Path) -> None:
        self.web_port = free_port()
        super().__init__(folder, f"listener {self.web_port}", "protocol websockets")

    @property
    def over_websockets(self) -> BrokerSettings:
        """How to reach it over websockets."""
        return BrokerSettings(host=f"ws://127.0.0.1:{self.web_port}/mqtt")

    def start(self) -> None:
        """Start it, and wait until it listens for websockets too."""
        super().start()
        wait_until(lambda: listens(self.web_port), "Mosquitto listens for websockets")


def leave_out_without_mosquitto() -> None:
    """Leave the present test out where Mosquitto is missing."""
    if MOSQUITTO is None:
        pytest.skip(_MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were left out because Mosquitto is missing."""
    files = Counter(
        report.nodeid.partition("::")[0]
        for report in terminalreporter.getreports("skipped")
        if _MISSING in str(report.longrepr)
    )
    if files:
        terminalreporter.section(f"left out: {files.total()} tests, as {_MISSING}", yellow=True)
        for file, count in sorted(files.items()):
            terminalreporter.line(f"{file}: {count}")


@pytest.fixture
def needs_mosquitto() -> None:
    """Leave the test out where Mosquitto is missing."""
    leave_out_without_mosquitto()


@pytest.fixture
def mosquitto(tmp_path: Path, needs_mosquitto: None) -> Iterator[Mosquitto]:
    """Start a Mosquitto without passwords on the loopback interface."""
    assert needs_mosquitto is None
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def web_mosquitto(tmp_path: Path, needs_mosquitto: None) -> Iterator[WebMosquitto]:
    """Start a Mosquitto that speaks websockets too."""
    assert needs_mosquitto is None
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = WebMosquitto(folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """Start the aggregator's own broker."""
    with EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0) as broker:
        yield broker
