"""A federation moves to another machine as docs/deploy.md says: its devices are not touched."""

from pathlib import Path

import pytest

from aggregator.ledger.folder import FederationFolder
from edge_client.simulation.federation import client_name
from tests.deploy.page import recipe
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation

pytestmark = pytest.mark.usefixtures("environment")

STATE = "/var/lib/chorus-aggregator"


def follow(it: ByInvitation, words: list[str], copy: Path) -> None:
    """Do what the page says, with folders of this test."""
    places = {f"{STATE}/copy.tar": copy, "copy.tar": copy, STATE: it.state.path}
    done = it.command("aggregator", *(places.get(word, word) for word in words))
    assert done.returncode == 0, done.stderr


def test_members_go_on_at_the_new_place_with_a_key_that_was_rotated(
    tmp_path: Path, clips: Clips
) -> None:
    rotate, *_ = recipe("7. Renewing certificates and keys", "aggregator")
    (backup,) = recipe("8. Backup", "aggregator")
    (restore,) = recipe("9. Moving to another machine", "aggregator")
    with ByInvitation(tmp_path, clips) as it:
        old = it.start()
        it.all_join(DEVICES)
        device = it.run(0, it.port)
        it.wait(lambda: device.said("Round 1 is waiting"), "a device is there")
        for words in (rotate, backup):
            follow(it, words, tmp_path / "copy.tar")
        old.kill()
        it.state = FederationFolder(tmp_path / "new place" / "aggregator")
        follow(it, restore, tmp_path / "copy.tar")
        it.start()
        it.run(1, it.port)
        it.finish(simulated(clips.whole))
        assert it.clients(2) == [client_name(number) for number in range(DEVICES)]
        assert not device.ended
