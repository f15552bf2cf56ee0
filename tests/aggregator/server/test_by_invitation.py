"""How the aggregator, and devices, reach the broker that it brings along."""

from pathlib import Path
from typing import Any

import pytest

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from aggregator.server.by_invitation import prepare
from aggregator.server.run import serve
from aggregator.server.settings import ServeSettings
from shared.mqtt.addresses import outward_address
from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import free_port, has_ipv6, listens
from tests.peers import Peers

pytestmark = pytest.mark.usefixtures("tiny")

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - also what is reached of them is looked at
ADDRESSES = ["127.0.0.1", "localhost", "127.0.0.2", "::1", *EVERYWHERE, outward_address()]


@pytest.fixture(autouse=True)
def _has_the_address(request: pytest.FixtureRequest) -> None:
    """Leave out what a machine without IPv6, or without a network, cannot have."""
    listen = request.node.callspec.params["listen"] if hasattr(request.node, "callspec") else ""
    if ":" in listen and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    if listen.endswith(".local"):
        pytest.skip("this machine has no network")


def settings_of(state: Path, **values: Any) -> ServeSettings:
    given = {"state": state, "model": "conv", "embedded_broker": True, "codecs": "float32"}
    return ServeSettings.parse({**given, "broker": {"port": free_port()}, **values})


@pytest.mark.parametrize("listen", ADDRESSES)
def test_the_aggregator_reaches_its_broker_wherever_that_listens(
    tmp_path: Path, listen: str, peers: Peers
) -> None:
    settings = settings_of(tmp_path, listen=listen, by_invitation=True)
    ready = prepare(settings, FederationFolder(tmp_path))
    own, port = settings.part(EmbeddedBrokerSettings), ready.broker.port
    assert port
    with ready.members as members, EmbeddedBroker(own, port, accounts=ready.accounts):
        peers.connect(ready.broker, "chorus_chorus-aggregator").ready()
        host = members.facts()["host"]
        assert host == (outward_address() if listen in EVERYWHERE else listen)
        if listen in EVERYWHERE:
            assert listens(port, host), "the link leads to it"


@pytest.mark.parametrize("listen", ADDRESSES)
def test_it_does_so_without_invitations(
    tmp_path: Path, listen: str, peers: Peers, capfd: pytest.CaptureFixture[str]
) -> None:
    class Calling:
        """Stands in for the service."""

        def __init__(self, _: object, broker: BrokerSettings, **_more: object) -> None:
            self.broker = broker

        def run(self, *, forever: bool) -> None:
            assert not forever
            peers.connect(self.broker, "chorus_chorus-aggregator").ready()

    settings = settings_of(tmp_path, listen=listen, insecure=True)
    serve(settings, make=Calling)  # type: ignore[arg-type] # a stand-in
    said = capfd.readouterr().err
    named = listen not in ("127.0.0.1", *EVERYWHERE)
    assert (f"edge-client run --clips DIR --broker {listen} --port" in said) == named


def test_a_broker_that_is_named_is_called_by_that_name(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, listen="127.0.0.2", by_invitation=True, broker={"host": "localhost", "port": 1}
    )
    ready = prepare(settings, FederationFolder(tmp_path))
    ready.members.close()
    assert ready.broker.address == ("localhost", 1)
    with Members(tmp_path / "members.sqlite") as members:
        assert '"host":"localhost"' in members.facts()["broker"]
