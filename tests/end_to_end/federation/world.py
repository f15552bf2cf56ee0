"""A whole federation in memory: real service, participants, ledger and files; see ``stage``."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator.enrolment.members import Members
from aggregator.rounds.federation import Federation
from aggregator.server.service import Service
from aggregator.settings import AggregatorSettings
from edge_client.enrolment.membership import Membership
from edge_client.federation.participant import Participant
from edge_client.federation.settings import FederationSettings
from edge_client.simulation.federation import SimulatedFederation as Simulation
from edge_client.simulation.federation import client_name
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import Architecture, architecture_of
from shared.layers import Dense
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import Announcement
from shared.protocol.topics import Topics
from shared.randomness import stream
from shared.task import DEFAULT_TASK, Task
from shared.training import Examples
from shared.weights import Weights, initial_weights
from tests.aggregator.driver import UNPACED
from tests.aggregator.driver import kill as kill_federation
from tests.architectures import replace_model
from tests.edge_client.tiny import TINY, NumpyEngine, examples
from tests.end_to_end.federation.network import Link, Message, Network
from tests.end_to_end.federation.stage import Actor, Stage
from tests.memberships import member

if TYPE_CHECKING:
    from shared.secure.sharing import Draw

ROUNDS = 2
CLIENTS = 2


def data_of(task: Task) -> list[Examples]:
    """Make what the clients train on: one takes two steps a round, the other one."""
    return [examples(24, 0, len(task.labels)), examples(8, 1, len(task.labels))]


DATA = data_of(DEFAULT_TASK)

SETTINGS: Mapping[str, Any] = {
    "rounds": ROUNDS,
    "seed": 3,
    "round_seconds": 1e6,
    "chunk": 8192,
    **UNPACED,
}
"""No deadline fixes what stands still; some chunks a file; one round after the other."""

OWN = "tests.aggregator.strategies.own:DriftFree"

VARIANTS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fedavg": ({}, {}),
    "fedadam": ({"strategy": "fedadam"}, {"strategy": "fedadam"}),
    "scaffold": (
        {"strategy": "scaffold", "optimizer": "sgd", "clients": CLIENTS},
        {"strategy": "scaffold", "optimizer": "sgd"},
    ),
    "one's own strategy": (
        {"strategy": OWN, "optimizer": "sgd", "clients": CLIENTS},
        {"strategy": OWN, "optimizer": "sgd"},
    ),
    "float32": ({"codecs": "float32"}, {"codec": "float32"}),
    "by invitation": ({"by_invitation": True}, {}),
    "differences down": ({"download_codec": "int8"}, {"download_codec": "int8"}),
    "differences down, and a memory": (
        {"download_codec": "float16", "strategy": "fedadam"},
        {"download_codec": "float16", "strategy": "fedadam"},
    ),
    "top five of a hundred": ({"codecs": "top5-int8"}, {"codec": "top5-int8"}),
}
"""What the aggregator is given, and what the simulation is, for the same federation."""

LONGEST = 600.0
"""Seconds that a federation may take, on the stage's clock, after the last mischief."""

TOPICS = Topics("chorus")


class SteppingEngine(NumpyEngine):
    """Lets others have their turn before each step."""

    def __init__(self, stage: Stage, architecture: Architecture) -> None:
        super().__init__(architecture)
        self._stage = stage

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        self._stage.stand()
        return super().step(features, frames, labels, seed)


class Server:
    """The aggregator's process."""

    def __init__(self, world: "World", settings: AggregatorSettings) -> None:
        world.stage.owner = self
        self.federation = Federation(settings, clock=world.calendar)
        by_invitation = settings.by_invitation
        self.members = Members(self.federation.folder.members) if by_invitation else None
        self.service = Service(
            self.federation,
            BrokerSettings(),
            members=self.members,
            loop=world.stage.loop(),
            connect=world.network.connection,  # type: ignore[arg-type] # it stands in
        )
        self.link: Link = self.service._connection  # type: ignore[assignment] # it stands in
        world.stage.begin(world.ending(self.service.run), self)


class Client:
    """A device's process."""

    def __init__(self, world: "World", number: int, data: Examples, folder: Path) -> None:
        world.stage.owner = self
        self.number = number
        self.name = client_name(number)
        values = {"client": self.name, "holdout": 0, "labels": world.client_labels}
        settings = FederationSettings.parse(values)
        self.participant = Participant(
            settings,
            folder,
            examples=lambda: data,
            keys=data.numbers.tolist,
            engines=lambda name: SteppingEngine(world.stage, architecture_of(name, settings.task)),
            why_not=world.why_not,
            membership=world.membership(number),
            loop=world.stage.loop(),
            connect=world.network.connection,  # type: ignore[arg-type] # it stands in
            noise=world.noise,
        )
        self.link: Link = self.participant._connection  # type: ignore[assignment] # it stands in
        self.loop = world.stage.begin(self.participant.run, self)


class World:
    """An aggregator, its clients and a broker, whose every step the test decides.

    Parameters
    ----------
    folder
        Where all state lies.
    **values
        Settings of the aggregator; and ``data``, what the clients train on, if not
        :func:`data_of` the task.
    """

    def __init__(self, folder: Path, **values: Any) -> None:
        self.folder = folder
        data = values.pop("data", None)
        self.settings = AggregatorSettings.parse(
            {"state": folder / "aggregator", "quorum": CLIENTS, **SETTINGS, **values}
        )
        self.stage = Stage()
        self.network = Network()
        self.server: Server | None = None
        self.clients: dict[int, Client] = {}
        self.client_labels = self.settings.labels
        self.data = data or data_of(self.settings.task)
        for number in range(len(self.data)):
            self.membership(number)  # they have joined before the aggregator starts
        self.noise: Draw = secrets.token_bytes
        """Where the devices' noise comes from."""
        self.ended = False
        self.limits: list[str] = []
        """Why nobody may train; as long as it is empty, everybody may."""
        self._jumps = 0
        self.passed = 0
        """Messages that were let through, or were not."""
        self.fate: Callable[[Link, Message], list[Message]] = lambda _, message: [message]
        """What becomes of the next message."""

    def calendar(self) -> float:
        """Give a time of day that jumps by years; it matters for records only."""
        self._jumps += 1
        return 1e9 + self._jumps * 7919 % 13 * 1e7

    def why_not(self, *_: object, **__: object) -> str | None:
        return self.limits[0] if self.limits else None

    def ending(self, run: Callable[[], None]) -> Callable[[], None]:
        def wrapped() -> None:
            run()
            self.ended = True

        return wrapped

    def membership(self, number: int) -> Membership | None:
        """Give what a client signs with, if the federation is by invitation."""
        if not self.settings.by_invitation:
            return None
        name = client_name(number)
        return member(self.settings.folder, self.folder / name / "membership", name)

    # ------------------------------------------------------------------ processes

    def start(self) -> None:
        """Start whoever is not there."""
        if self.server is None and not self.ended:
            self.server = Server(self, self.settings)
        for number in range(len(self.data)):
            if number not in self.clients:
                self.start_client(number)

    def start_client(self, number: int) -> None:
        folder = self.folder / client_name(number)
        self.clients[number] = Client(self, number, self.data[number], folder)

    def slow_down(self, number: int, seconds: float) -> None:
        """Let each message of a client take so long to go out."""
        link = self.clients[number].link
        link.slow = True

        def line() -> None:
            while True:
                actor.wait(lambda: False, self.stage.now + seconds)
                if link.outgoing:
                    link.go_out()

        actor = self.stage.begin(line, self.clients[number])

    def kill_server(self) -> None:
        if self.server is None:
            return
        server, self.server = self.server, None
        self.network.remove(server.link)
        if server.members:
            server.members.close()
        kill_federation(server.federation)
        self._kill(server)
        self.ended = False

    def kill_client(self, number: int) -> None:
        client = self.clients.pop(number, None)
        if client is None:
            return
        self.network.remove(client.link)
        fetching = client.participant._fetching
        if download := fetching._download:
            # Else it would be saved: a killed process saves nothing.
            download.part.close()
            fetching._download = None
        self._kill(client)

    def _kill(self, process: object) -> None:
        with suppress(Exception):
            self.stage.kill(process)

    def close(self) -> None:
        for number in list(self.clients):
            self.kill_client(number)
        if self.server and not self.ended:
            self.kill_server()
        elif self.server:
            self.stage.kill(self.server)
            self.server.federation.close()

    # ------------------------------------------------------------------ steps

    def deliver(self, link: Link) -> None:
        """Let a connection's next message through, or do to it what is its fate."""
        message = link.waiting.popleft()
        self.passed += 1
        for topic, payload in self.fate(link, message):
            if link.connected:
                link.on_message(topic, payload)

    def step(self, choice: int = 0) -> None:
        """Do one thing of all that can happen now; let time pass if there is nothing."""
        if todo := self._todo():
            todo[choice % len(todo)]()
        else:
            self.stage.wait()

    def rest(self) -> None:
        """Go on until nothing happens without time passing."""
        turn = 0
        while todo := self._todo():
            todo[turn % len(todo)]()
            turn += 1

    def _todo(self) -> list[Callable[[], None]]:
        links: list[Callable[[], None]] = []
        for link in self.network.links:
            if not link.connected:
                links.append(partial(self.network.connect, link))
            elif link.waiting:
                links.append(partial(self.deliver, link))
            if link.full and not link.slow:
                links.append(partial(self.network.drain, link))
        return links + [partial(self.run, actor) for actor in self.stage.ready()]

    def run(self, actor: Actor) -> None:
        self.stage.run(actor)

    def settle(self, until: Callable[[], object] = lambda: False) -> None:
        """Go on, without mischief, until the federation has ended, or something is so."""
        self.start()
        end, turn = self.stage.now + LONGEST, 0
        while not self.ended and not until():
            self.step(turn)
            turn += 1
            assert self.stage.now < end, "it stands still"

    # ------------------------------------------------------------------ what came of it

    @property
    def weights(self) -> Weights:
        assert self.server
        federation = self.server.federation
        return federation.files.weights(federation.current.digest)

    def check(self, expected: Weights) -> None:
        """Check that every update counted once, and that the result is the simulation's."""
        assert self.server
        ledger = self.server.federation.ledger
        for number in range(1, (self.settings.rounds or 0) + 1):
            record = ledger.round(number)
            assert record
            assert record.state == "done"
            assert len(ledger.updates(number)) == len(self.data)
        np.testing.assert_array_equal(self.weights, expected)
        assert Announcement.decode(self.network.retained[TOPICS.round]).state == "finished"


@contextmanager
def world(**values: Any) -> Iterator[World]:
    """Open a world; its disk is in memory where there is one."""
    shm = Path("/dev/shm")  # noqa: S108 -- a folder of its own in it
    folder = Path(tempfile.mkdtemp(dir=shm if shm.is_dir() else None))
    with pytest.MonkeyPatch.context() as patch:
        replace_model(patch, TINY)
        it = World(folder, **values)
        try:
            yield it
        finally:
            it.close()
            shutil.rmtree(folder)


@cache
def simulated(clients: int = CLIENTS, **values: Any) -> Weights:
    """Give the weights that the simulation of such a federation ends in."""
    same = {"rounds": ROUNDS, "seed": SETTINGS["seed"], "codec": "int8"}
    settings = SimulationSettings.parse({**same, **values})
    architecture = replace(
        TINY,
        layers=(*TINY.layers[:-1], Dense("logits", len(settings.labels), hidden=False)),
        task=settings.task,
    )
    data = data_of(settings.task)[:clients]
    simulation = Simulation(settings, [NumpyEngine(architecture)], data)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    for number in range(1, settings.rounds + 1):
        weights = simulation.run(number, weights).weights
    return weights
