"""Brokers other than Mosquitto: the same weights in the end, bit for bit, as in the simulation."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.other_brokers import OtherBroker, aedes, ejabberd, nats, rabbitmq, running
from tests.proxy import Proxy

pytestmark = pytest.mark.usefixtures("environment")

Make = Callable[[Path], Sequence[OtherBroker]]


def with_passwords(folder: Path) -> Callable[[str], Sequence[str]]:
    """Give each a name and a password, which ejabberd asks for."""
    password = folder / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    return lambda who: ["--username", who, "--password-file", str(password)]


@pytest.mark.parametrize("make", [nats, rabbitmq, ejabberd, aedes])
def test_a_federation_ends_in_the_weights_of_its_simulation(
    make: Make, tmp_path: Path, clips: Clips
) -> None:
    nodes = make(tmp_path / "broker")
    with running(nodes) as (broker,), Processes(tmp_path, clips) as them:
        if make is ejabberd:
            them.access = with_passwords(tmp_path)
        them.serve(broker.port)
        them.run(0, broker.port)
        them.run(1, broker.port)
        them.finish(simulated(clips.whole))


@pytest.mark.parametrize("make", [nats, ejabberd, aedes])
def test_an_aggregator_that_begins_anew_finds_the_devices_that_are_there(
    make: Make, tmp_path: Path, clips: Clips
) -> None:
    """Not at RabbitMQ, which does not tell what is retained to who asks for all devices'."""
    nodes = make(tmp_path / "broker")
    with running(nodes) as (broker,), Processes(tmp_path, clips) as them:
        if make is ejabberd:
            them.access = with_passwords(tmp_path)
        aggregator = them.serve(broker.port)
        them.run(0, broker.port)
        them.wait(lambda: them.read(lambda history: history.clients()), "the first is known")
        aggregator.kill()
        them.serve(broker.port)
        them.run(1, broker.port)
        them.finish(simulated(clips.whole))


@pytest.mark.parametrize("whose", ["the aggregator's", "the devices'", "nobody's"])
def test_a_node_of_three_may_die_in_the_middle_of_a_round(
    whose: str, tmp_path: Path, clips: Clips
) -> None:
    nodes = nats(tmp_path / "broker", 3)
    with running(nodes), Processes(tmp_path, clips) as them:
        # What stands before a cluster leads to the nodes that live.
        ways = [Proxy(node.port) for node in nodes]
        try:
            dying = ["the aggregator's", "the devices'", "nobody's"].index(whose)
            them.serve(ways[0].port)
            them.run(0, ways[1].port)
            them.run(1, ways[1].port)
            them.wait(them.uploading, "an update is on its way")
            nodes[dying].kill()
            ways[dying].target = nodes[dying - 1].port
            them.finish(simulated(clips.whole))
        finally:
            for way in ways:
                way.close()
