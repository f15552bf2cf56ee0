"""Two aggregators of one federation on one broker: real processes, each with a state of its own."""

from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from tests.brokers import Mosquitto
from tests.deployed import user_of
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.end_to_end.federation.test_joining_mosquitto import (
    PLUGIN,
    AtMosquitto,
    Guarded,
    invite_when_ready,
)

pytestmark = pytest.mark.usefixtures("environment", "needs_mosquitto")

GIVES_WAY = "Another aggregator serves the federation chorus on this broker. Stop that one first"
STAYS = "Another aggregator wanted to serve the federation chorus on this broker, and has given way"
FEDERATION_ERROR = 19


def gives_way(first: Processes, second: Processes, port: int) -> None:
    """Let a second aggregator begin: it ends, and both have said why."""
    assert first.aggregator
    other = second.serve(port)
    first.wait(lambda: other.ended, "the second one gives way")
    assert other.code == FEDERATION_ERROR, second.said
    assert " ".join(other.log.read_text().split()).count(GIVES_WAY) == 1
    assert not other.said("Traceback")
    first.wait(lambda: first.aggregator and first.aggregator.said(STAYS), "the first one says so")
    assert not first.aggregator.ended


def run_of(it: Processes) -> str:
    run: str = it.read(lambda history: history.run)
    return run


def test_the_second_gives_way_and_drives_no_device_of_the_first(
    mosquitto: Mosquitto, tmp_path: Path, clips: Clips
) -> None:
    (tmp_path / "second").mkdir()
    with Processes(tmp_path, clips) as it, Processes(tmp_path / "second", clips) as second:
        it.serve(mosquitto.port)
        device = it.run(0, mosquitto.port)
        it.wait(lambda: device.said("Round 1 is waiting"), "a device has heard of the first one")
        gives_way(it, second, mosquitto.port)
        assert second.read(lambda history: history.clients()) == []
        it.run(1, mosquitto.port)
        it.finish(simulated(clips.whole))
        assert device.said("Round 1 is waiting") == 1
        assert run_of(it) != run_of(second)


@pytest.mark.skipif(not PLUGIN.exists(), reason="Mosquitto's plugin is missing")
def test_by_invitation_the_second_takes_no_account_from_devices_of_the_first(
    tmp_path: Path, clips: Clips
) -> None:
    for name in ("broker", "second"):
        (tmp_path / name).mkdir()
    broker = Guarded(tmp_path / "broker")
    access = broker.settings_of("aggregator")
    broker.start()
    try:
        with (
            AtMosquitto(tmp_path, clips, access) as it,
            AtMosquitto(tmp_path / "second", clips, access) as second,
        ):
            it.start()
            it.wait(lambda: user_of("aggregator") in broker.users(), "it is the administrator")
            invite_when_ready(it, client_name(0))
            it.all_join(DEVICES)
            accounts = broker.users()
            device = it.run(0, it.port)
            it.wait(lambda: device.said("Round 1 is waiting"), "a device has heard of the first")
            gives_way(it, second, it.port)
            assert broker.users() == accounts
            it.run(1, it.port)
            it.finish(simulated(clips.whole))
    finally:
        broker.kill()
