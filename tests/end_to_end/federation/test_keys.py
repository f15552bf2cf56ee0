"""The aggregator gets a new key: real processes, killed in the middle, devices that were away."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from shared.trust.keys import SecretKey
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation
from tests.end_to_end.federation.processes import _command

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def it(tmp_path: Path, clips: Clips) -> Iterator[ByInvitation]:
    with ByInvitation(tmp_path, clips) as them:
        yield them


def rotate(it: ByInvitation) -> str:
    done = it.command("aggregator", "keys", "rotate", "--state", it.state.path)
    assert done.returncode == 0, done.stderr
    key = str(SecretKey.read(it.state.key).public)
    assert key[:16] in done.stderr
    return key


def believed(it: ByInvitation, number: int) -> str:
    folder = it.folder / client_name(number) / "memberships" / "chorus"
    key: str = json.loads((folder / "joined.json").read_text())["aggregator"]
    return key


def test_devices_follow_at_once_or_when_they_are_back(it: ByInvitation, clips: Clips) -> None:
    aggregator = it.start()
    link = it.invite("hall")
    it.all_join(DEVICES)
    first = believed(it, 0)
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "one of them is there")
    for _ in range(2):  # one is there, the other one misses both
        key = rotate(it)
        it.wait(lambda: believed(it, 0) == key, "it follows")  # noqa: B023 -- called at once
    assert believed(it, 1) == first
    it.run(1, it.port)
    it.finish(simulated(clips.whole))
    assert believed(it, 1) == key
    assert aggregator.said("The federation has a new key") == 2
    joined = it.join(link, "hall")
    assert joined.returncode == 0, f"a link from before is good: {joined.stderr}"
    assert (
        json.loads((it.folder / "hall/memberships/chorus/joined.json").read_text())["aggregator"]
        == key
    )


def test_so_they_do_if_the_aggregator_is_killed_meanwhile(it: ByInvitation, clips: Clips) -> None:
    aggregator = it.start()
    it.all_join(DEVICES)
    aggregator.kill()
    key = rotate(it)
    for number in range(DEVICES):
        it.run(number, it.port)
    it.start()
    it.finish(simulated(clips.whole))
    assert [believed(it, number) for number in range(DEVICES)] == [key] * DEVICES


@pytest.mark.parametrize(
    ("still", "done"),
    [
        ("before aggregator.enrolment.rotation:hand_over", ""),
        ("before aggregator.enrolment.key_file:replacing", ""),
        ("after aggregator.enrolment.rotation:rotate", "it is changed"),
    ],
)
def test_a_command_that_is_killed_has_changed_the_key_or_has_not(
    it: ByInvitation, still: str, done: str
) -> None:
    it.start()
    it.all_join(1)
    before = str(SecretKey.read(it.state.key).public)
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "a device is there")
    words = ("keys", "rotate", "--state", it.state.path)
    command = it._start(it.folder / "keys.log", *_command("aggregator", still, it.waits), *words)
    it.wait(lambda: command.said("It stands still"), "it stands still")
    command.kill()
    assert (str(SecretKey.read(it.state.key).public) != before) is bool(done)
    key = rotate(it)
    it.wait(lambda: believed(it, 0) == key, "the device follows")
    assert it.aggregator
    it.aggregator.send(signal.SIGTERM)
