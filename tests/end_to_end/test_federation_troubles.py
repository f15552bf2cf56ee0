"""Chunks that go astray, a device that never answers, clocks that jump, lines that are slow.

Real processes and a real broker, as in ``test_federation_faults.py``; each federation ends in the
weights of its simulation.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_client.federation.transfers import PATIENCE
from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.fates import CHUNK, KINDS, Mischief
from tests.end_to_end.federation.processes import Processes
from tests.proxy import proxy_to

pytestmark = pytest.mark.usefixtures("environment")

DEADLINE = 4
"""Seconds of a round that somebody does not answer in."""

DAY = 86_400

MODEL = 7_329_136
"""Bytes of its file."""


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_go_astray(kind: str, tmp_path: Path, clips: Clips, mosquitto: Mosquitto) -> None:
    up, down = Mischief(kind, seed=1), Mischief(kind, seed=2)
    with (
        Processes(tmp_path, clips) as them,
        proxy_to(mosquitto.port) as loses_up,
        proxy_to(mosquitto.port) as loses_down,
    ):
        loses_up.fates[0] = up
        loses_down.fates[1] = down
        aggregator = them.serve(mosquitto.port)
        them.run(0, loses_up.port)
        fetches = them.run(1, loses_down.port)
        them.finish(simulated(clips.whole))
        assert up.done > 5
        assert down.done > 5
        damaged = [each.said("A chunk was damaged on its way") for each in (aggregator, fetches)]
        assert damaged == ([1, 1] if kind == "damaged" else [0, 0])


LIBFAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

Jump = Callable[[str], object]
"""Lets the calendar jump to so many days (``+3d``, ``-2d``) from the true one."""


@pytest.fixture
def jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Let the calendar of all processes that are started from now on jump, also later."""
    if LIBFAKETIME is None:
        pytest.skip("libfaketime is missing (apt-get install faketime)")
    ahead = tmp_path / "ahead"
    ahead.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBFAKETIME))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(ahead))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    # A clock that only goes forward is the machine's own; waiting by it needs no correction.
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
    return ahead.write_text


def test_clocks_jump(tmp_path: Path, clips: Clips, mosquitto: Mosquitto, jump: Jump) -> None:
    with Processes(tmp_path, clips) as them, proxy_to(mosquitto.port) as way:
        way.delay(0.02)
        # What it does not get it asks for again after a while, by another clock.
        way.fates[1] = mischief = Mischief("dropped", seed=3)
        jump("+3d")
        them.serve(mosquitto.port)
        them.run(1, mosquitto.port)
        device = them.run(0, way.port)
        them.wait(lambda: way.passed[1] > MODEL - mischief.done * CHUNK, "the others are there")
        assert not device.said("training on")
        jump("-5h")
        them.wait(lambda: them.safe(0), "its update is on its way")
        jump("-400d")
        them.wait(lambda: them.reached(2, "open"), "round 2 is open")
        jump("+40d")
        way.delay(0)
        them.finish(simulated(clips.whole))
        first, second = them.round(1), them.round(2)
        assert first.ended - first.opened < -300 * DAY
        assert second.ended - second.opened > 300 * DAY


@pytest.mark.parametrize("clock", ["steady", "jumping"])
def test_a_device_never_answers(
    clock: str,
    tmp_path: Path,
    clips: Clips,
    mosquitto: Mosquitto,
    request: pytest.FixtureRequest,
) -> None:
    jump: Jump = request.getfixturevalue("jump") if clock == "jumping" else lambda _: None
    more = ("--round-seconds", str(DEADLINE), "--stay")
    with Processes(tmp_path, clips, "conv", *more) as them:
        them.serve(mosquitto.port)
        for number in range(2):
            them.run(number, mosquitto.port)
        silent = them.devices[1]
        them.wait(lambda: them.reached(1, "open"), "it is invited")
        silent.send(signal.SIGSTOP)
        for number, days in ((1, "-2d"), (2, "+2d")):
            them.wait(lambda number=number: them.reached(number, "open"), "the round is open")  # type: ignore[misc]
            begun = time.monotonic()
            jump(days)
            them.wait(lambda number=number: them.reached(number, "done"), "the round has ended")  # type: ignore[misc]
            assert time.monotonic() - begun > DEADLINE / 2, "the other one is waited for"
            assert them.round(number).invited == ("client-00000", "client-00001")
        them.finish(simulated(clips.whole, devices=1), devices=1)
        silent.send(signal.SIGCONT)
        them.wait(lambda: silent.said("was the last"), "it is back")


RATE = 60_000
"""Bytes a second of a line that an update of 1.8 MB, which a device may send at once, takes three
times as long to pass as the device is patient."""


def test_a_slow_line_costs_each_byte_once(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    more = ("--codecs", "int8")
    with Processes(tmp_path, clips, "conv", *more) as them, proxy_to(mosquitto.port) as line:
        line.narrow(RATE)
        them.serve(mosquitto.port)
        them.run(1, mosquitto.port)
        them.run(0, line.port)
        them.wait(lambda: them.safe(0), "its update is on its way")
        # What it is told meanwhile comes late.
        line.drop(1)
        begun = time.monotonic()
        them.wait(lambda: them.safe(0) > 12 * RATE, "it has passed for longer than it is patient")
        assert time.monotonic() - begun > 2 * PATIENCE
        assert not them.update(1, 0)
        line.heal()
        line.narrow(0)
        them.finish(simulated(clips.whole, codec="int8"))
        # By now all has passed that was on its way before the second update.
        assert line.passed[0] <= 1.2 * (them.update(1, 0).bytes + them.update(2, 0).bytes)


def test_told_to_end_while_it_sends_a_device_ends(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    more = ("--codecs", "int8")
    with Processes(tmp_path, clips, "conv", *more) as them, proxy_to(mosquitto.port) as line:
        line.narrow(RATE)
        them.serve(mosquitto.port)
        them.run(1, mosquitto.port)
        device = them.run(0, line.port)
        them.wait(lambda: them.safe(0), "its update is on its way")
        device.send(signal.SIGTERM)
        them.wait(lambda: device.ended, "it ends")
        assert device.code == 0
        assert not them.update(1, 0)
        line.narrow(0)
        them.run(0, line.port)
        them.finish(simulated(clips.whole, codec="int8"))
