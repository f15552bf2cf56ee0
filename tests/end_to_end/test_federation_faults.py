"""Processes that are killed, a broker that is, a network that breaks, a disk that is full.

Each federation ends in the weights of its simulation. What can happen between any two messages is
shown in ``federation/test_mischief.py``; here it is real processes, signals, sockets and disks.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.end_to_end.federation.processes import DEVICES, Clips, Processes, simulated
from tests.proxy import Proxy, proxy_to

pytestmark = pytest.mark.usefixtures("environment")

UPDATE = 100_000
"""Bytes that only an update has, of all that a device of these sends."""

SLOW = 0.02
"""Seconds that each piece is held back, so that a transfer lasts long enough to be hit."""


@pytest.fixture
def proxies(mosquitto: Mosquitto) -> Iterator[list[Proxy]]:
    """Open a way to the broker for each device, that can be slow or cut."""
    with ExitStack() as stack:
        yield [stack.enter_context(proxy_to(mosquitto.port)) for _ in range(DEVICES)]


def test_the_aggregator_is_killed_in_every_state(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, proxies: list[Proxy]
) -> None:
    with Processes(tmp_path, clips) as them:

        def kill_and_serve() -> None:
            assert them.aggregator
            them.aggregator.kill()
            them.serve(mosquitto.port)

        # Waiting for a quorum.
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it waits")
        kill_and_serve()
        # Open, without an update.
        for number, proxy in enumerate(proxies):
            them.run(number, proxy.port)
        them.wait(lambda: them.reached(1, "open"), "round 1 is open")
        kill_and_serve()
        # During an upload; then with one update that counts.
        for proxy in proxies:
            proxy.delay(SLOW)
        them.wait(them.uploading, "an update arrives")
        kill_and_serve()
        proxies[0].delay(0)
        them.wait(lambda: them.counted(1), "an update counts")
        kill_and_serve()
        for proxy in proxies:
            proxy.delay(0)
        # Closed, or already aggregated; not announced in any case.
        them.wait(lambda: them.counted(1) == DEVICES, "all updates count")
        kill_and_serve()
        them.wait(lambda: them.counted(2), "an update of round 2 counts")
        kill_and_serve()
        # When the ledger has the last round, but nobody was told.
        them.wait(lambda: them.reached(2, "closed", "done"), "round 2 is closed")
        kill_and_serve()
        them.finish(simulated(clips.whole))
        for number in range(DEVICES):
            device = them.devices[number]
            them.wait(lambda device=device: device.said("was the last"), "all know the end")  # type: ignore[misc]


def test_a_client_is_killed_before_during_and_after_its_upload(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto, proxies: list[Proxy]
) -> None:
    way = proxies[0]
    with Processes(tmp_path, clips) as them:
        aggregator = them.serve(mosquitto.port)
        them.run(1, proxies[1].port)
        device = them.run(0, way.port)
        them.wait(lambda: device.said("training on"), "it trains")
        device.kill()
        way.delay(SLOW)
        device = them.run(0, way.port)
        them.wait(
            lambda: any(them.state.uploads.glob("client-00000*.part")), "its update is on its way"
        )
        device.kill()
        # It sends all, and is killed before it hears that the update counts.
        device = them.run(0, way.port)
        them.wait(lambda: device.said("update is ready") or way.passed[0] > UPDATE, "it sends")
        way.delay(0)
        aggregator.send(signal.SIGSTOP)
        device.kill()
        aggregator.send(signal.SIGCONT)
        them.run(0, way.port)
        them.finish(simulated(clips.whole))


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

        them.wait(lambda: proxies[0].passed[1] > UPDATE, "a model is on its way")
        restart()
        them.wait(them.uploading, "an update is on its way")
        restart()
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
        them.wait(lambda: proxies[0].passed[1] > UPDATE, "a model is on its way")
        proxies[0].cut()
        proxies[0].heal()
        them.wait(them.uploading, "an update is on its way")
        server_way.cut()
        proxies[1].cut()
        server_way.heal()
        proxies[1].heal()
        for proxy in proxies:
            proxy.delay(0)
        them.finish(simulated(clips.whole))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of few megabytes; only root may."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """Leave no room on a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


@pytest.mark.parametrize("whose", ["aggregator", "device"])
def test_a_full_disk_costs_nothing_but_time(
    whose: str, tmp_path: Path, small_disk: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them:
        name = "aggregator" if whose == "aggregator" else "client-00000"
        (small_disk / "state").mkdir()
        (tmp_path / name).symlink_to(small_disk / "state")
        them.run(1, mosquitto.port)
        aggregator = them.serve(mosquitto.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it waits")
        filler = _fill(small_disk)
        device = them.run(0, mosquitto.port)
        troubled = aggregator if whose == "aggregator" else device
        them.wait(lambda: troubled.said("disk is full"), "the disk is full")
        filler.unlink()
        them.finish(simulated(clips.whole))
        assert not troubled.ended
        assert not troubled.said("Traceback")
