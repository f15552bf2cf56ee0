"""A federation by invitation of real processes, at the aggregator's own broker."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aggregator.enrolment.members import Members
from edge_client.federation.own_clips import CACHE
from edge_client.simulation.federation import client_name
from tests.brokers import BOUND, free_port
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Process, Processes, _command
from tests.fork_server import BIN, run

if TYPE_CHECKING:
    import subprocess


class ByInvitation(Processes):
    """The processes of such a federation.

    Parameters
    ----------
    folder
        Where their state and logs are.
    clips
        What devices train on.
    more
        Further words for ``aggregator serve``.
    model
        The architecture.

    Attributes
    ----------
    port
        Of the broker.
    """

    def __init__(self, folder: Path, clips: Clips, *more: str, model: str = "conv") -> None:
        super().__init__(folder, clips, model, "--embedded-broker", "--by-invitation", *more)
        self.port = free_port()
        self.access = self._settings

    def _settings(self, name: str) -> list[str]:
        if name == "aggregator":
            return []
        return ["--config", str(self.folder / name / "edge-client.toml")]

    def start(self, still: str = "") -> Process:
        """Start the aggregator, and wait until devices can be invited."""
        aggregator = self.serve(self.port, still)
        self.wait(lambda: aggregator.said("Connected to the broker"), "the aggregator is there")
        return aggregator

    def command(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run a command beside them, to its end."""
        line = [str(BIN / str(words[0])), *map(str, words[1:])]
        return run(line, timeout=5 * BOUND)

    def invite(self, name: str, *words: str) -> str:
        """Invite a device; give the link."""
        made = self.command("aggregator", "invite", name, *words, "--state", self.state.path)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def join(self, link: str, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Let a device join, with what it keeps under ``name``."""
        return self.command("edge-client", "join", link, "--state", self.folder / name, *words)

    def begin_to_join(self, link: str, name: str, still: str) -> Process:
        """Let a device join that stands still somewhere."""
        words = ("join", link, "--state", self.folder / name)
        return self._start(
            self.folder / f"{name}.join.log", *_command("edge-client", still, self.waits), *words
        )

    def all_join(self, count: int) -> None:
        """Let the devices of the simulation join."""
        for number in range(count):
            name = client_name(number)
            joined = self.join(self.invite(name), name, "--no-page")
            assert joined.returncode == 0, joined.stderr


class JoinedOnce:
    """Devices that join a federation once, of which each test begins with what they keep then.

    The features of their clips they keep too, from whichever test computed them.

    Parameters
    ----------
    folder
        Where it lies; what was joined there earlier is used again.
    clips
        What devices train on.
    devices
        How many join.
    model
        The architecture.
    """

    def __init__(self, folder: Path, clips: Clips, devices: int, model: str) -> None:
        self.place = folder / "federation"
        self._joined = folder / "joined"
        self._port = folder / "port"
        self._clips = clips
        self._devices = devices
        self._model = model

    @contextmanager
    def begun(self, *words: str) -> Iterator[ByInvitation]:
        """Give a federation whose devices have joined, and whose aggregator is there.

        Parameters
        ----------
        words
            Further words for ``aggregator serve``.
        """
        shutil.rmtree(self.place, ignore_errors=True)
        if self._joined.exists():
            shutil.copytree(self._joined, self.place)
        else:
            self.place.mkdir(parents=True)
        with ByInvitation(self.place, self._clips, *words, model=self._model) as them:
            if self._port.exists():
                them.port = int(self._port.read_text())
            aggregator = them.start()
            if not self._joined.exists():
                them.all_join(self._devices)
                aggregator.kill()
                self._port.write_text(str(them.port))
                shutil.copytree(self.place, self._joined)
                them.start()
            yield them
        for features in self.place.glob(f"**/{CACHE}"):
            kept = self._joined / features.relative_to(self.place)
            shutil.copytree(features, kept, dirs_exist_ok=True)


def key_of(it: ByInvitation, name: str) -> str | None:
    """Give the key that the aggregator knows a device by; ``None`` if it has not joined."""
    with Members(it.state.members) as members:
        member = members.joined().get(name)
    return str(member.key) if member else None
