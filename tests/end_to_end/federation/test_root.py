"""A root above the aggregator's key: real processes, a stolen key, devices that were away."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.ledger.folder import FederationFolder
from edge_client.simulation.federation import client_name
from shared.trust.keys import SecretKey
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation
from tests.end_to_end.federation.processes import Process, _command

pytestmark = pytest.mark.usefixtures("environment")


class WithRoot(ByInvitation):
    """A federation by invitation, and a machine with its root."""

    numbers = 0

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def make_root(self) -> str:
        made = self.command("aggregator", "keys", "root", self.root)
        assert made.returncode == 0, made.stderr
        return str(SecretKey.read(self.root).public)

    def issue(self, root: Path | None = None) -> Path:
        self.numbers += 1
        file = self.folder / f"issued-{self.numbers}.pem"
        after = (1 << 40) + self.numbers  # two within a second are of two numbers
        made = self.command(
            "aggregator", "keys", "issue", root or self.root, file, "--after", str(after)
        )
        assert made.returncode == 0, made.stderr
        assert f"number {after + 1}," in made.stderr
        return file

    def rotate(self, file: Path) -> str:
        done = self.command(
            "aggregator", "keys", "rotate", "--issued", file, "--state", self.state.path
        )
        assert done.returncode == 0, done.stderr
        return str(SecretKey.read(self.state.key).public)

    def known(self, number: int) -> dict[str, Any]:
        place = self.folder / client_name(number) / "memberships" / "chorus"
        known: dict[str, Any] = json.loads((place / "joined.json").read_text())
        return known

    def serve_in_place_of(self, old: Process, state: Path) -> Process:
        """Let another aggregator take the broker's address, with the state of a folder."""
        old.kill()
        self.state = FederationFolder(state)
        return self.start()


@pytest.fixture
def it(tmp_path: Path, clips: Clips) -> Iterator[WithRoot]:
    with WithRoot(tmp_path, clips) as them:
        yield them


def test_devices_follow_what_the_root_issues_and_a_thief_is_left_alone(
    it: WithRoot, clips: Clips, tmp_path: Path
) -> None:
    """The thief has all of the aggregator's folder, and takes its place at the broker's address."""
    aggregator, root = it.start(), it.make_root()
    first = it.rotate(it.issue())
    it.all_join(DEVICES)
    assert [it.known(number)["root"] for number in range(DEVICES)] == [root] * DEVICES
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "one of them is there")
    owners, stolen = it.state.path, tmp_path / "stolen"
    shutil.copytree(owners, stolen)
    second = it.rotate(it.issue())  # the other one misses it
    it.wait(lambda: it.known(0)["aggregator"] == second, "it follows")
    assert it.known(1)["aggregator"] == first
    late = it.invite("late")  # it knows no key but the root, and from when on

    thief = it.serve_in_place_of(aggregator, stolen)
    it.wait(lambda: device.said("by a key that the root has replaced since"), "an older one is not")
    thiefs_own = it.folder / "thiefs-root.pem"
    assert it.command("aggregator", "keys", "root", thiefs_own).returncode == 0
    refused = it.command(
        "aggregator", "keys", "rotate", "--issued", it.issue(thiefs_own), "--state", stolen
    )
    assert (refused.returncode, "by another root" in refused.stderr) == (20, True)
    text = stolen.joinpath("key.pem").read_text()
    stolen.joinpath("key.pem").write_text(re.sub("(?m)^issued .*\n", "", text))
    rotated = it.command("aggregator", "keys", "rotate", "--state", stolen)
    assert rotated.returncode == 0, "the thief lets the stolen key hand over to one of his own"
    it.wait(lambda: device.said("by a key that the root has not issued"), "that is not, either")
    assert it.known(0)["aggregator"] == second
    assert it.join(late, "late").returncode != 0, "nor does he let anybody in"

    it.serve_in_place_of(thief, owners)
    it.run(1, it.port)
    it.finish(simulated(clips.whole))
    assert [it.known(number)["aggregator"] for number in range(DEVICES)] == [second] * DEVICES
    joined = it.join(late, "late")
    assert joined.returncode == 0, joined.stderr


def test_an_older_backup_is_believed_again_with_another_key_of_the_root(
    it: WithRoot, clips: Clips, tmp_path: Path
) -> None:
    aggregator, copy = it.start(), tmp_path / "copy.tar"
    it.make_root()
    it.rotate(it.issue())
    it.all_join(DEVICES)
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "a device is there")
    assert it.command("aggregator", "backup", copy, "--state", it.state.path).returncode == 0
    second = it.rotate(it.issue())
    it.wait(lambda: it.known(0)["aggregator"] == second, "it follows")
    place = tmp_path / "restored"
    assert it.command("aggregator", "restore", copy, "--state", place).returncode == 0
    it.serve_in_place_of(aggregator, place)
    it.wait(lambda: device.said("aggregator keys rotate --issued"), "the device says what to do")
    third = it.rotate(it.issue())
    it.wait(lambda: it.known(0)["aggregator"] == third, "it follows again")
    it.run(1, it.port)
    it.finish(simulated(clips.whole))


def test_a_device_that_joined_before_there_was_a_root_has_it_from_the_next_invitation(
    it: WithRoot,
) -> None:
    it.start()
    link = it.invite("hall")
    it.all_join(1)
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "it is there")
    root, key = it.make_root(), it.rotate(it.issue())
    it.wait(lambda: it.known(0)["aggregator"] == key, "it follows by what the old key says")
    assert "root" not in it.known(0)
    assert it.join(link, "hall").returncode == 0, "a link from before is good"
    name = client_name(0)
    joined = it.join(it.invite(name, "--again"), name, "--no-page")
    assert joined.returncode == 0, joined.stderr
    assert (it.known(0)["root"], it.known(0)["aggregator"]) == (root, key)


def test_a_command_that_is_killed_can_be_given_again(it: WithRoot) -> None:
    it.start()
    it.make_root()
    before = it.rotate(it.issue())
    it.all_join(1)
    device = it.run(0, it.port)
    it.wait(lambda: device.said("Round 1 is waiting"), "a device is there")
    file = it.issue()
    words = ("keys", "rotate", "--issued", file, "--state", it.state.path)
    still = _command("aggregator", "after aggregator.enrolment.rotation:rotate", it.waits)
    command = it._start(it.folder / "keys.log", *still, *words)
    it.wait(lambda: command.said("It stands still"), "it stands still")
    command.kill()
    assert str(SecretKey.read(it.state.key).public) != before
    key = it.rotate(file)
    assert key == str(SecretKey.read(file).public)
    it.wait(lambda: it.known(0)["aggregator"] == key, "the device follows")
