"""A federation moves to another machine by a backup: its devices are not touched."""

from pathlib import Path

import pytest

from aggregator.ledger.folder import FederationFolder
from edge_client.simulation.federation import client_name
from tests.end_to_end.federation.clips import DEVICES, Clips, simulated
from tests.end_to_end.federation.joining import ByInvitation

pytestmark = pytest.mark.usefixtures("environment")


def test_members_go_on_at_the_new_place_with_a_key_that_was_rotated(
    tmp_path: Path, clips: Clips
) -> None:
    with ByInvitation(tmp_path, clips) as it:
        old = it.start()
        it.all_join(DEVICES)
        device = it.run(0, it.port)
        it.wait(lambda: device.said("Round 1 is waiting"), "a device is there")
        old_state = it.state.path
        for words in (["keys", "rotate"], ["backup", tmp_path / "copy.tar"]):
            done = it.command("aggregator", *words, "--state", old_state)
            assert done.returncode == 0, done.stderr
        old.kill()
        it.state = FederationFolder(tmp_path / "new place" / "aggregator")
        restored = it.command(
            "aggregator", "restore", tmp_path / "copy.tar", "--state", it.state.path
        )
        assert restored.returncode == 0, restored.stderr
        it.start()
        it.run(1, it.port)
        it.finish(simulated(clips.whole))
        assert it.clients(2) == [client_name(number) for number in range(DEVICES)]
        assert not device.ended
