"""A member with an account at the aggregator's own broker, and harm in mind: real processes."""

import tomllib
from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from shared.mqtt.broker_settings import BrokerSettings
from tests.end_to_end.federation.attacker import NAME, Attacker
from tests.end_to_end.federation.clips import DEVICES, ROUNDS, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation

pytestmark = pytest.mark.usefixtures("environment")

VICTIM = client_name(0)


def broker_of(folder: Path) -> BrokerSettings:
    """Read how a device that has joined reaches the broker, and is let in."""
    kept = tomllib.loads((folder / "edge-client.toml").read_text())
    return BrokerSettings.parse(kept["broker"])


def test_a_member_speaks_for_nobody_else_and_hears_what_is_for_all(
    tmp_path: Path, clips: Clips
) -> None:
    with ByInvitation(tmp_path, clips) as them:
        aggregator = them.start()
        them.all_join(DEVICES)
        assert them.join(them.invite(NAME), NAME, "--no-page").returncode == 0
        settings = broker_of(tmp_path / NAME)
        assert settings.tls
        assert settings.password()
        mallory = Attacker(settings)
        them.callback(mallory.close)
        for number in range(DEVICES):
            them.run(number, them.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        mallory.be_another(VICTIM)
        mallory.announce(run="f" * 32)
        mallory.take_the_place_of(VICTIM)
        them.reach(ROUNDS, simulated(clips.whole))
        assert not [topic for topic in mallory.heard if "/clients/" in topic]
        # Nothing of it went beyond the broker: what is signed wrongly would be spoken of.
        assert not aggregator.said("signed by another key")
        assert not aggregator.said("Somebody else has announced")
        assert not them.devices[0].said("was lost")
        assert not them.devices[0].said("is not from the aggregator")
