"""Where the link of an invitation leads, and links that cannot be made."""

from pathlib import Path

import pytest

from aggregator.enrolment.links import is_out, is_told, link_for, shut_out
from aggregator.enrolment.members import Members
from aggregator.enrolment.rotation import issue_key, make_root, rotate
from aggregator.ledger.folder import FederationFolder
from shared.errors import SettingsError, TrustError
from shared.trust.keys import SecretKey
from shared.trust.link import Link
from tests.aggregator.web.staged import enrol


@pytest.fixture
def folder(tmp_path: Path) -> FederationFolder:
    enrol(FederationFolder(tmp_path), ())
    return FederationFolder(tmp_path)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (None, ("192.0.2.7", 8883)),
        ("hub.local", ("hub.local", 8883)),
        ("hub.local:8884", ("hub.local", 8884)),
        ("[fe80::1]:1", ("fe80::1", 1)),
        ("fe80::1", ("fe80::1", 8883)),
    ],
)
def test_it_leads_to_the_address_that_is_given(
    folder: FederationFolder, address: str | None, place: tuple[str, int]
) -> None:
    link, _ = link_for(folder, "hall", hours=1, again=False, address=address)
    assert (link.host, link.port) == place
    assert Link.of(str(link)) == link


@pytest.mark.parametrize(
    "address",
    [
        "not an address",
        "a/b",
        "höhle",
        "x" * 254,
        "a:99999",
        "hub.local:0",
        "'; rm -r ~",
        "fe80::x",
    ],
)
def test_no_link_is_made_that_no_device_could_read(folder: FederationFolder, address: str) -> None:
    with pytest.raises(SettingsError, match="There can be no broker there"):
        link_for(folder, "hall", hours=1, again=False, address=address)
    with Members(folder.members) as members:
        assert not members.invitations()


def test_a_federation_whose_start_was_broken_off_has_no_members_and_no_keys(
    tmp_path: Path,
) -> None:
    folder = FederationFolder(tmp_path / "state")
    folder.path.mkdir()
    SecretKey.kept(folder.key)
    Members(folder.members).close()
    root, key = tmp_path / "root.pem", tmp_path / "next.pem"
    make_root(root)
    issue_key(root, key, "chorus", after=0)
    there_is_none = "There is no federation by invitation"
    with pytest.raises(TrustError, match=there_is_none):
        link_for(folder, "attic", hours=1.0, again=False, address=None)
    with pytest.raises(TrustError, match=there_is_none):
        is_told(folder, "attic")
    with pytest.raises(TrustError, match=there_is_none):
        rotate(folder, key)


def test_who_is_shut_out_is_out_once_the_broker_has_removed_the_account(
    folder: FederationFolder,
) -> None:
    waited: list[float] = []

    def remove_at_the_third(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            members.removed("chorus_hall_guest")

    with Members(folder.members) as members:
        link_for(folder, "hall", hours=1, again=False, address=None)
        shut_out(folder, "hall")
        assert is_out(folder, "hall", sleep=waited.append), "the embedded one reads the list"
        assert not waited
        members.note(accounts="plugin", plugin="yes")
        assert not is_out(folder, "hall", sleep=lambda _: None)
        assert is_out(folder, "hall", sleep=remove_at_the_third)
        assert len(waited) == 3
