"""Brokers other than Mosquitto for tests: the real programs, each in a folder of its own.

A test that asks for one that is not installed is left out, and says so. aedes has no package of
Debian: ``CHORUS_AEDES`` names a folder in which ``npm install aedes`` was run.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.brokers import free_port, listens, wait_until

_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin"
_RABBITMQ: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's command of this name, on the path, becomes another user, who may not write here."""

_AEDES: Final = os.environ.get("CHORUS_AEDES", "")
_PATIENCE: Final = 6
"""How often waiting for Erlang's slow starts is bounded anew."""


class OtherBroker:
    """A broker in a process group of its own, that can be killed and started again.

    Parameters
    ----------
    folder
        Where its configuration, its log and its store are.
    port
        Where it listens for MQTT.
    command
        What starts it.
    environment
        What it finds in its environment besides ours.
    """

    def __init__(
        self, folder: Path, port: int, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.port = port
        self.command = command
        self.environment = environment
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; whoever needs it waits until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it listens."""
        process = self._process
        assert process
        for _ in range(_PATIENCE):
            try:
                wait_until(lambda: process.poll() is not None or listens(self.port), "it listens")
                break
            except AssertionError:
                continue
        assert process.poll() is None, self.log.read_text()
        assert listens(self.port), self.log.read_text()

    def kill(self) -> None:
        """``kill -9``, and all that it has started."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _needs(command: str, package: str) -> str:
    """Find a command; leave the test out where it is missing."""
    found = shutil.which(command, path=_PATH)
    if not found:
        pytest.skip(f"{command} is missing (apt-get install {package})")
    return found


def nats(folder: Path, nodes: int = 1) -> list[OtherBroker]:
    """Make the nodes of a NATS cluster; MQTT needs JetStream, and JetStream three nodes or one."""
    program = _needs("nats-server", "nats-server")
    routes = [free_port() for _ in range(nodes)]
    made = []
    for number in range(nodes):
        own = folder / f"node-{number}"
        own.mkdir(parents=True)
        port = free_port()
        lines = [
            f"server_name: node-{number}",
            f"listen: 127.0.0.1:{free_port()}",
            f'jetstream {{ store_dir: "{own}" }}',
            f"mqtt {{ listen: 127.0.0.1:{port} }}",
        ]
        if nodes > 1:
            others = ", ".join(f"nats://127.0.0.1:{route}" for route in routes)
            lines.append(
                f"cluster {{ name: c, listen: 127.0.0.1:{routes[number]}, routes: [{others}] }}"
            )
        (own / "nats.conf").write_text("\n".join([*lines, ""]))
        made.append(OtherBroker(own, port, [program, "-c", "nats.conf"], {}))
    return made


def rabbitmq(folder: Path) -> list[OtherBroker]:
    """Make a RabbitMQ with its MQTT plugin."""
    if not _RABBITMQ.exists():
        pytest.skip("RabbitMQ is missing (apt-get install rabbitmq-server)")
    folder.mkdir(parents=True)
    port = free_port()
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{free_port()}",
        f"mqtt.listeners.tcp.1 = 127.0.0.1:{port}",
        "mqtt.allow_anonymous = true",
    ]
    (folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]))
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
    environment = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_NODENAME": "chorus@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "store"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    # Else the broker starts Erlang's directory of nodes as a daemon, which outlives it.
    line = f"epmd & exec {_RABBITMQ}"
    return [OtherBroker(folder, port, ["sh", "-c", line], environment)]


def ejabberd(folder: Path) -> list[OtherBroker]:
    """Make an ejabberd that speaks MQTT alone, and lets in whoever has any password."""
    erlang = _needs("erl", "ejabberd")
    found = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))
    if not found:
        pytest.skip("ejabberd is missing (apt-get install ejabberd)")
    folder.mkdir(parents=True)
    port = free_port()
    lines = [
        "hosts: [localhost]",
        "auth_method: anonymous",
        "allow_multiple_connections: true",
        "anonymous_protocol: login_anon",
        f"listen: [{{port: {port}, ip: '127.0.0.1', module: mod_mqtt}}]",
        "modules: {mod_mqtt: {}}",
    ]
    (folder / "ejabberd.yml").write_text("\n".join([*lines, ""]))
    command = [erlang, "-noinput", "-pa", str(found[-1]), "-mnesia", "dir", f'"{folder}/store"']
    command += ["-s", "ejabberd"]
    environment = {
        "HOME": str(folder),
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
    }
    return [OtherBroker(folder, port, command, environment)]


def aedes(folder: Path) -> list[OtherBroker]:
    """Make an aedes, which keeps all in memory."""
    program = _needs("node", "nodejs")
    if not Path(_AEDES, "node_modules", "aedes").is_dir() or not _AEDES:
        pytest.skip("aedes is missing: name the folder of `npm install aedes` by CHORUS_AEDES")
    folder.mkdir(parents=True)
    port = free_port()
    script = (
        "require('aedes').Aedes.createBroker().then(broker => "
        f"require('net').createServer(broker.handle).listen({port}, '127.0.0.1'))"
    )
    return [
        OtherBroker(folder, port, [program, "-e", script], {"NODE_PATH": f"{_AEDES}/node_modules"})
    ]


@contextmanager
def running(nodes: Sequence[OtherBroker]) -> Iterator[Sequence[OtherBroker]]:
    """Run the nodes of a broker."""
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.kill)
            node.start()
        for node in nodes:
            node.wait()
        yield nodes
