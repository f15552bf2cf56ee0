"""Where a federation of processes meets: Mosquitto, deployed or plain, or the embedded broker."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from edge_client.simulation.federation import client_name
from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import Mosquitto, peak_memory
from tests.deployed import Deployed, make_credentials
from tests.end_to_end.federation.attacker import NAME, SIXTEEN
from tests.end_to_end.federation.clips import DEVICES


@dataclass(frozen=True)
class Place:
    """A broker, and how each comes in.

    Attributes
    ----------
    settings_of
        How a device, or the ``aggregator``, reaches it.
    memory
        Bytes that it has held at most.
    rules
        Whether it keeps clients apart.
    """

    settings_of: Callable[[str], BrokerSettings]
    memory: Callable[[], int]
    rules: bool

    @property
    def port(self) -> int:
        return self.settings_of("aggregator").address[1]

    def words(self, name: str) -> Sequence[str]:
        """Give the options that bring a command in."""
        settings = self.settings_of(name)
        if not settings.tls:
            return ()
        files = ("--ca-file", str(settings.ca_file), "--password-file", str(settings.password_file))
        return ("--tls", *files)


@contextmanager
def deployed(folder: Path) -> Iterator[Place]:
    """Start Mosquitto with rules for the devices, and for attackers who have a device's rights."""
    devices = [client_name(number) for number in range(DEVICES)]
    made = make_credentials(folder, "--host", "127.0.0.1", ".", *devices, NAME, *SIXTEEN)
    assert made.returncode == 0, made.stderr
    broker = Deployed(folder, folder)
    broker.start()
    yield Place(broker.settings_of, broker.peak_memory, rules=True)
    broker.kill()


@contextmanager
def plain(folder: Path) -> Iterator[Place]:
    """Start a Mosquitto that lets anybody in, and has no rules."""
    broker = Mosquitto(folder)
    broker.start()
    yield Place(lambda _: broker.settings, broker.peak_memory, rules=False)
    broker.kill()


@contextmanager
def embedded(_: Path) -> Iterator[Place]:
    """Start the aggregator's own broker, which has no rules."""
    with EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0) as broker:
        settings = BrokerSettings(port=broker.port)
        process = broker._process
        assert process
        yield Place(lambda _: settings, lambda: peak_memory(process.pid), rules=False)


PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "deployed": deployed,
    "plain": plain,
    "embedded": embedded,
}
