"""An attacker among honest devices: real processes, Mosquitto as deployed, the embedded broker."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aggregator.broker import retained
from aggregator.broker.bounds import MOST_HELD, MOST_WAITING
from aggregator.strategies import Update
from edge_client.simulation.federation import client_name
from shared.weights import norm
from tests.end_to_end.federation.attacker import NAME, SIXTEEN, Attacker, delta_of
from tests.end_to_end.federation.clips import (
    DEVICES,
    ROUNDS,
    Clips,
    simulated,
    simulated_with,
)
from tests.end_to_end.federation.place import Place
from tests.end_to_end.federation.processes import Process, Processes, invites

pytestmark = pytest.mark.usefixtures("environment")

VICTIM = client_name(0)
LARGEST_LOG = 50_000
LARGEST_MEMORY = MOST_HELD + retained.MOST + MOST_WAITING + 40e6
"""Bytes that a broker takes: what the embedded one may hold and keep, a second copy of what waits
for one client (made while asyncio's buffer grows), and the program itself.

Without bounds both kept more than that of what the attacker leaves alone.
"""

LARGEST_GROWTH = 20e6
"""Bytes that an aggregator takes for its rounds, whatever is sent to it."""


@contextmanager
def attacked(
    place: Place, folder: Path, clips: Clips, *words: str
) -> Iterator[tuple[Processes, Process, Attacker]]:
    """Give a federation, its aggregator, which is there, and who attacks it."""
    with Processes(folder, clips, "conv", *words) as them:
        them.access = place.words
        aggregator = them.serve(place.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it is there")
        mallory = Attacker(place.settings_of(NAME))
        them.callback(mallory.close)
        yield them, aggregator, mallory


def asks(mallory: Attacker) -> None:
    """Ask for more than there is, and in numbers that there are not."""
    mallory.ask_for_what_is_not_there(100_000)
    mallory.ask_for_everything(5)
    mallory.say_numbers_beyond_all_bounds()


def sends(mallory: Attacker) -> None:
    """Send updates that are not to be finished, or to outweigh all others."""
    mallory.send_single_bytes(20_000)
    mallory.hold_a_place()
    mallory.become_the_model()


def leaves(mallory: Attacker) -> None:
    """Leave much where nobody looks for it."""
    mallory.leave_messages(3000, 100)
    mallory.leave_messages(240, 1 << 20)


def announces(mallory: Attacker) -> None:
    """Announce another run, and a round that is far away."""
    mallory.announce(run="f" * 32)
    mallory.announce(round=999_999)


@pytest.mark.parametrize("attack", [asks, sends, leaves, announces])
def test_honest_devices_finish_with_the_same_bits(
    attack: Callable[[Attacker], None], place: Place, tmp_path: Path, clips: Clips
) -> None:
    with attacked(place, tmp_path, clips) as (them, aggregator, mallory):
        them.run(1, place.port)
        attack(mallory)
        them.run(0, place.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        attack(mallory)
        them.reach(ROUNDS, simulated(clips.whole))
        assert aggregator.log.stat().st_size < LARGEST_LOG
        assert place.memory() < LARGEST_MEMORY


def test_single_bytes_of_one_that_is_invited_cost_nothing(
    place: Place, tmp_path: Path, clips: Clips
) -> None:
    with attacked(place, tmp_path, clips, *invites(1)) as (them, aggregator, mallory):
        mallory.be_ready()
        for number in range(DEVICES):
            them.run(number, place.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        before = aggregator.peak_memory()
        mallory.send_single_bytes(100_000)
        them.wait(lambda: aggregator.said("is no whole chunk"), "it is noticed")
        them.wait(lambda: them.round(2), "round 2 is open")
        mallory.send_single_bytes(100_000)
        them.reach(ROUNDS, simulated(clips.whole))
        assert aggregator.peak_memory() < before + LARGEST_GROWTH
        assert aggregator.log.stat().st_size < LARGEST_LOG
        assert place.memory() < LARGEST_MEMORY


def test_those_who_hold_all_places_make_room(place: Place, tmp_path: Path, clips: Clips) -> None:
    with Processes(tmp_path, clips, "conv", *invites(len(SIXTEEN)), "--chunk", "4096") as them:
        them.access = place.words
        server = "aggregator.server"
        them.waits = {f"{server}.upload:SILENCE": 2, f"{server}.receiving:_LOOK_AFTER": 1}
        aggregator = them.serve(place.port)
        them.wait(lambda: aggregator.said("Connected to the broker"), "it is there")
        devices = [them.run(number, place.port) for number in range(DEVICES)]
        attackers = [Attacker(place.settings_of(name), name) for name in SIXTEEN]
        for attacker in attackers:
            them.callback(attacker.close)
        for attacker in attackers[1:]:
            attacker.be_ready()
        them.wait(lambda: aggregator.said("17 are ready to train"), "one is missing")
        # They come too late, whatever this machine does first.
        for device in devices:
            device.send(signal.SIGSTOP)
        attackers[0].be_ready()
        them.wait(lambda: them.round(1), "round 1 is open")
        for attacker in attackers:
            attacker.hold_a_place()
        for device in devices:
            device.send(signal.SIGCONT)
        due = 0.0

        def done() -> bool:
            """Send a chunk of each again and again, never silent for long, and look."""
            nonlocal due
            if time.monotonic() > due:
                due = time.monotonic() + 1.0
                for attacker in attackers:
                    attacker.send_another_chunk()
            return them.reached(1, "done")

        them.wait(done, "round 1 is done")
        assert aggregator.said("slower than 8 KiB a second while others waited")
        assert them.clients(1) == [client_name(number) for number in range(DEVICES)]
        assert them.weights().tobytes() == simulated(clips.whole, rounds=1).tobytes()


def test_one_that_is_invited_does_not_become_the_model(
    place: Place, tmp_path: Path, clips: Clips
) -> None:
    with attacked(place, tmp_path, clips, "--rounds", "1", "--quorum", "3") as (
        them,
        aggregator,
        mallory,
    ):
        mallory.be_ready()
        for number in range(DEVICES):
            them.run(number, place.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        mallory.become_the_model(norm=990, examples=10_000)
        them.wait(lambda: them.reached(1, "done"), "round 1 is done")
        assert them.clients(1) == [*map(client_name, range(DEVICES)), NAME]
        expected = simulated_with(clips.whole, Update(NAME, 10_000, delta_of(990)))
        assert them.weights().tobytes() == expected.tobytes()
        honest = simulated(clips.whole, rounds=1)
        first = simulated(clips.whole, rounds=0)
        assert norm(expected - first) < 2 * norm(honest - first)
        assert aggregator.said("Shortened to 1 x the median norm of the last rounds")
        assert aggregator.said(f"{NAME}: 990 to")
        assert aggregator.said(f"{NAME}: 10000 as")


def test_with_rules_nobody_speaks_for_another_or_hears_what_is_not_for_all(
    place: Place, tmp_path: Path, clips: Clips
) -> None:
    with attacked(place, tmp_path, clips) as (them, _, mallory):
        for number in range(DEVICES):
            them.run(number, place.port)
        them.wait(lambda: them.round(1), "round 1 is open")
        if place.rules:
            mallory.be_another(VICTIM)
            mallory.take_the_place_of(VICTIM)
            mallory.announce(run="f" * 32)
        them.reach(ROUNDS, simulated(clips.whole))
        foreign = {topic for topic in mallory.heard if "/clients/" in topic}
        # Without rules everybody hears everything: docs/protocol.md says so.
        assert bool(foreign) != place.rules
        assert not them.devices[0].said("was lost")
