"""Processes that are killed, a broker that is, a network that breaks, a disk that is full.

Each federation ends in the weights of its simulation. What can happen between any two messages is
shown in ``federation/test_mischief.py``; here it is real processes, signals, sockets and disks.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from tests.brokers import Mosquitto, free_port
from tests.disk import mounted
from tests.end_to_end.federation.clips import (
    DEVICES,
    ROUNDS,
    Clips,
    simulated,
)
from tests.end_to_end.federation.fates import CHUNK, first, without
from tests.end_to_end.federation.processes import Processes
from tests.proxy import Proxy, proxy_to

pytestmark = pytest.mark.usefixtures("environment")

SOME = 100_000
"""Bytes that only a model has, of all that a device of these receives."""

SLOW = 0.02
"""Seconds that each piece is held back, so that a transfer lasts long enough to be hit."""


@pytest.fixture
def proxies(mosquitto: Mosquitto) -> Iterator[list[Proxy]]:
    """Open a way to the broker for each device, that can be slow or cut."""
    with ExitStack() as stack:
        yield [stack.enter_context(proxy_to(mosquitto.port)) for _ in range(DEVICES)]


HALF = 56
"""Chunks of 112 that an update has."""

MEMORY = "edge_client.federation.client_state:ClientState"
LEDGER = "aggregator.ledger:Ledger"

STATES = [
    (f"before {LEDGER}.open_round", None, 0),
    (f"after {LEDGER}.open_round", "open", 0),
    ("before aggregator.server.inbox:Inbox.offer", "open", 0),
    ("after aggregator.server.upload:Upload.flush", "open", 0),
    (f"before {LEDGER}.accept", "open", 0),
    (f"after {LEDGER}.accept", "open", 1),
    (f"before {LEDGER}.close_round", "open", DEVICES),
    (f"after {LEDGER}.close_round", "closed", DEVICES),
    (f"before {LEDGER}.finish_round", "closed", DEVICES),
    (f"after {LEDGER}.finish_round", "done", DEVICES),
]
"""Where the aggregator is killed in round 1; the state the ledger has of it, and its updates."""


def kill_aggregator(them: Processes, port: int, still: str, number: int) -> tuple[str | None, int]:
    """Kill an aggregator where it stands still; say what the ledger then has of a round."""
    aggregator = them.serve(port, still)
    them.wait(lambda: aggregator.said("It stands still"), f"it stands still {still}")
    aggregator.kill()
    record = them.round(number)
    return record and record.state, them.counted(number)


def test_the_aggregator_is_killed_in_every_state(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        # While it waits for devices.
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it waits")
        aggregator.kill()
        for number in range(DEVICES):
            them.run(number, mosquitto.port)
        for still, state, counted in STATES:
            assert kill_aggregator(them, mosquitto.port, still, 1) == (state, counted)
            assert "flush" not in still or them.safe(0) + them.safe(1)
            assert them.current().round == (1 if state == "done" else 0)
        them.serve(mosquitto.port)
        them.finish(simulated(clips.whole))


def test_killed_before_it_could_tell_the_end_the_aggregator_tells_it_later(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips, "conv", "--rounds", "1") as them:
        devices = [them.run(number, mosquitto.port) for number in range(DEVICES)]
        killed = kill_aggregator(them, mosquitto.port, f"after {LEDGER}.finish_round", 1)
        assert killed == ("done", DEVICES)
        assert not any(device.said("was the last") for device in devices)
        aggregator = them.serve(mosquitto.port)
        them.wait(
            lambda: aggregator.ended or all(device.said("was the last") for device in devices),
            "all have the last model",
        )
        assert all(device.said("was the last") for device in devices)


def test_an_offer_that_went_with_the_aggregator_is_made_again_at_once(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        # They would ask for nothing again by themselves while this test lasts.
        them.waits = {"edge_client.federation.transfers:PATIENCE": 3600}
        for number in range(DEVICES):
            them.run(number, mosquitto.port)
        killed = kill_aggregator(
            them, mosquitto.port, "before aggregator.server.inbox:Inbox.offer", 1
        )
        assert killed == ("open", 0)
        them.serve(mosquitto.port)
        them.finish(simulated(clips.whole))


def test_a_client_is_killed_before_during_and_after_its_upload(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, proxies: list[Proxy]
) -> None:
    way = proxies[0]
    with Processes(tmp_path, clips) as them:

        def kill(still: str) -> None:
            device = them.run(0, way.port, still=still)
            them.wait(lambda: device.said("It stands still"), f"it stands still {still}")
            device.kill()

        aggregator = them.serve(mosquitto.port)
        them.run(1, mosquitto.port)
        # It has trained, and keeps nothing of it; then it keeps its update, and has not offered it.
        kill(f"before {MEMORY}.finish")
        assert not them.remembered(0)["waiting"]
        kill(f"after {MEMORY}.finish")
        assert them.remembered(0)["waiting"]
        assert not them.safe(0)
        # During its upload: about half of it comes through.
        way.fates[0] = first(HALF)
        device = them.run(0, way.port)
        them.wait(lambda: them.safe(0) == HALF * CHUNK, "half of its update is safe")
        device.kill()
        aggregator.kill()
        them.serve(mosquitto.port)
        # It sends the rest, and only that; it is killed before it hears that the update counts.
        way.fates[:] = None, without(b'"accepted"')
        before = way.passed[0]
        device = them.run(0, way.port)
        them.wait(lambda: them.update(1, 0), "its update counts")
        device.kill()
        assert not device.said("the update counts")
        assert way.passed[0] - before < them.update(1, 0).bytes - (HALF - 2) * CHUNK
        way.fates[1] = None
        # It hears it, and is killed before it has written that down.
        kill(f"before {MEMORY}.decide")
        assert them.remembered(0)["waiting"]
        them.run(0, way.port)
        them.finish(simulated(clips.whole))
        them.wait(lambda: them.remembered(0)["accepted"] == ROUNDS, "it knows what counts")


@pytest.mark.parametrize("kept", ["kept", "lost"])
def test_the_broker_is_killed_during_transfers(
    kept: str, tmp_path: Path, clips: Clips, mosquitto: Mosquitto, proxies: list[Proxy]
) -> None:
    with Processes(tmp_path, clips) as them:
        them.serve(mosquitto.port)
        for number, proxy in enumerate(proxies):
            proxy.delay(SLOW)
            them.run(number, proxy.port)

        def restart() -> None:
            if kept == "kept":
                mosquitto.stop()
            else:
                mosquitto.kill()
            mosquitto.start()

        them.wait(lambda: proxies[0].passed[1] > SOME, "a model is on its way")
        restart()
        assert not them.devices[0].said("training on")
        them.wait(them.uploading, "an update is on its way")
        restart()
        assert not them.counted(1)
        for proxy in proxies:
            proxy.delay(0)
        them.finish(simulated(clips.whole))


def test_a_network_is_cut_off_and_comes_back(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, proxies: list[Proxy]
) -> None:
    with Processes(tmp_path, clips) as them, proxy_to(mosquitto.port) as server_way:
        them.serve(server_way.port)
        for number, proxy in enumerate(proxies):
            proxy.delay(SLOW)
            them.run(number, proxy.port)
        them.wait(lambda: proxies[0].passed[1] > SOME, "a model is on its way")
        proxies[0].cut()
        assert not them.devices[0].said("training on")
        proxies[0].heal()
        them.wait(them.uploading, "an update is on its way")
        server_way.cut()
        proxies[1].cut()
        assert not them.counted(1)
        server_way.heal()
        proxies[1].heal()
        for proxy in proxies:
            proxy.delay(0)
        them.finish(simulated(clips.whole))


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[list[Path]]:
    """Mount a disk of some megabytes for each of two processes; only root may."""
    with ExitStack() as stack:
        disks = (mounted(tmp_path / f"disk-{number}", "size=64m") for number in range(2))
        yield [stack.enter_context(disk) for disk in disks]


def _keep_on(disk: Path, state: Path) -> None:
    """Let the state of a process lie on a disk."""
    (disk / "state").mkdir()
    state.symlink_to(disk / "state")


def _fill(disk: Path, room: int = 0) -> Path:
    """Leave so much room on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(file.tell() - room)
    return filler


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("room", "place", "state", "counted"),
    [
        (0, "ledger", None, 0),  # it cannot open the round
        (4 * MEGABYTE, "uploads", "open", 0),  # an update arrives in part
        (17 * MEGABYTE, "models", "closed", DEVICES),  # the updates, but not the next model
    ],
    ids=["before", "during an upload", "while it aggregates"],
)
def test_the_aggregators_disk_is_full(
    room: int,
    place: str,
    state: str | None,
    counted: int,
    tmp_path: Path,
    small_disks: list[Path],
    clips: Clips,
    mosquitto: Mosquitto,
) -> None:
    with Processes(tmp_path, clips) as them:
        disk = small_disks[0]
        _keep_on(disk, them.state.path)
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it waits")
        filler = _fill(disk, room)
        for number in range(DEVICES):
            them.run(number, mosquitto.port)
        full = f"The disk is full while writing {getattr(them.state, place)}"
        them.wait(lambda: aggregator.said(full), full)
        record = them.round(1)
        assert (record and record.state) == state
        assert them.counted(1) == counted
        assert them.uploading() == (state == "open")
        filler.unlink()
        them.finish(simulated(clips.whole))
        assert not aggregator.ended


def test_the_aggregators_disk_is_full_when_it_starts(
    tmp_path: Path, small_disks: list[Path], clips: Clips
) -> None:
    with Processes(tmp_path, clips) as them:
        them.waits = {"aggregator.server.run:STORAGE_RETRY": 0.2}
        _keep_on(small_disks[0], them.state.path)
        filler = _fill(small_disks[0])
        aggregator = them.serve(free_port())
        waits = "Free some space: it goes on by itself."
        them.wait(lambda: aggregator.said(waits), "it waits for room")
        filler.unlink()
        them.wait(lambda: aggregator.said("No broker listens"), "it goes on")
        assert aggregator.said(waits) == 1
        assert not aggregator.ended


def test_a_devices_disk_is_full(
    tmp_path: Path, small_disks: list[Path], clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        again = ("participant", "messages")
        them.waits = {f"edge_client.federation.{module}:AGAIN": 3.0 for module in again}
        disk = small_disks[0]
        _keep_on(disk, tmp_path / "client-00000")
        them.run(1, mosquitto.port)
        them.serve(mosquitto.port)
        filler = _fill(disk)
        device = them.run(0, mosquitto.port)
        # When it hears of the aggregator, and of the round: then it tries by itself.
        them.wait(lambda: device.said("The disk is full") == 2, "the disk is full")
        assert device.said("it goes on by itself") == 2
        # Whoever ends it meanwhile loses nothing, and is told of no error.
        device.send(signal.SIGTERM)
        them.wait(lambda: device.ended, "it ends")
        assert device.code == 0
        assert device.said("Stopped; accepted updates")
        device = them.run(0, mosquitto.port)
        them.wait(lambda: device.said("The disk is full"), "the disk is still full")
        filler.unlink()
        them.finish(simulated(clips.whole))
        assert not device.ended


def test_the_disks_of_devices_are_full_before_they_have_the_model_or_their_update(
    tmp_path: Path, small_disks: list[Path], clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        fillers = []
        for number, (disk, room) in enumerate(zip(small_disks, (4, 10), strict=True)):
            _keep_on(disk, tmp_path / client_name(number))
            fillers.append(_fill(disk, room * MEGABYTE))
            them.run(number, mosquitto.port)
        them.serve(mosquitto.port)
        for number, device in them.devices.items():
            them.wait(lambda device=device: device.said("disk is full"), "the disk is full")  # type: ignore[misc]
            assert device.said("training on") == number, "it has the model, or it has not"
            assert not them.remembered(number)["waiting"]
            # It would try again by itself; so it is done sooner.
            device.kill()
            fillers[number].unlink()
            them.run(number, mosquitto.port)
        them.finish(simulated(clips.whole))
