"""Root lets a device join for somebody else: all is theirs, and no link leads root elsewhere."""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge_client.device.state import DeviceFolder
from edge_client.enrolment.settling import Host
from edge_client.join import join_and_start
from shared.errors import ChorusError, StorageError
from tests.as_owner import OWNER, command, give, reachable
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.joining import ByInvitation

pytestmark = [
    pytest.mark.usefixtures("environment"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others"),
]


@pytest.fixture
def it(tmp_path: Path, clips: Clips) -> Iterator[ByInvitation]:
    with ByInvitation(tmp_path, clips) as them:
        yield them


@pytest.fixture
def service() -> Iterator[Host]:
    """Install a service of another user's, whose state folder that user can reach."""
    with reachable() as place:
        host = Host(place / "unit", place / "state", place / "etc" / "device.toml", user="nobody")
        host.unit.touch()
        host.state.mkdir()
        os.chown(host.state, pwd.getpwnam(host.user).pw_uid, -1)
        yield replace(host, systemd=place / "none")


@pytest.mark.parametrize("left", [False, True], ids=["new", "left by root"])
def test_all_that_a_service_joins_with_is_its_users(
    it: ByInvitation, service: Host, *, left: bool
) -> None:
    it.start()
    if left:  # by an earlier version, which was killed
        DeviceFolder(service.state).make()
        (service.state / "memberships" / ".chorus").mkdir(parents=True)
        (service.state / "memberships" / "lock").touch(0o600)
    join_and_start(it.invite("kitchen"), None, None, None, host=service)
    found = [service.state, *service.state.rglob("*")]
    assert service.state / "memberships" / "chorus" / "key.pem" in found
    assert service.state / "personal" / "token" in found
    assert {path.stat().st_uid for path in found} == {pwd.getpwnam(service.user).pw_uid}
    assert service.config.stat().st_uid == os.geteuid() == 0


def test_root_joins_for_somebody_else(it: ByInvitation) -> None:
    it.start()
    with reachable() as place:
        DeviceFolder(place / "state").make()
        give(place / "state")  # and not what root has left in it
        joined = command("edge-client", "join", it.invite("kitchen"), "--state", place / "state")
        assert joined.returncode == 0, joined.stderr
        found = [place / "state", *(place / "state").rglob("*")]
        assert place / "state" / "edge-client.toml" in found
        assert {path.stat().st_uid for path in found} == {OWNER}


def test_settings_that_the_folder_s_owner_may_not_read_use_no_link_up(it: ByInvitation) -> None:
    it.start()
    link = it.invite("kitchen")
    with reachable() as place:
        (place / "state").mkdir()
        settings = place / "state" / "edge-client.toml"
        settings.touch(0o600)
        (place / "etc").mkdir()
        settings.rename(place / "etc" / "device.toml")
        settings.symlink_to(place / "etc" / "device.toml")
        give(place / "state", settings)
        joined = command("edge-client", "join", link, "--state", place / "state")
        assert joined.returncode != 0
        assert "Permission denied" in joined.stderr
        assert not list((place / "state").rglob("key.pem")), "nothing was asked"


def test_a_link_in_the_place_of_settings_leads_root_nowhere(
    it: ByInvitation, service: Host
) -> None:
    it.start()
    settings = service.unit.with_name("root.toml")
    (service.state / "edge-client.toml").symlink_to(settings)
    with pytest.raises(StorageError, match="Permission denied"):
        join_and_start(it.invite("kitchen"), service.state, None, None, host=service)
    assert not settings.exists()


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("name", ["memberships", "memberships/.chorus", "personal"])
def test_links_in_the_folder_of_a_service_lead_root_nowhere(
    name: str, it: ByInvitation, service: Host, *, explicit: bool
) -> None:
    it.start()
    elsewhere = service.unit.with_name("roots own")
    elsewhere.mkdir()
    (service.state / name).parent.mkdir(exist_ok=True)
    (service.state / name).symlink_to(elsewhere)
    for path in service.state.rglob("*"):
        os.chown(path, pwd.getpwnam(service.user).pw_uid, -1, follow_symlinks=False)
    with suppress(ChorusError):  # it may say so
        place = service.state if explicit else None
        join_and_start(it.invite("kitchen"), place, None, None, host=service)
    assert not list(elsewhere.iterdir())
    assert elsewhere.stat().st_uid == 0
