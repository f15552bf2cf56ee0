"""A member that was invited with a root: which keys of the aggregator it believes."""

from pathlib import Path

import pytest

from edge_client.enrolment.membership import Joined, Membership, MembershipFolder, write
from shared.errors import TrustError
from shared.protocol.fields import Issued, Successor
from shared.protocol.topics import Topics
from shared.trust.counter import write_number
from shared.trust.issuing import issue
from shared.trust.keys import SecretKey
from shared.trust.signing import LARGEST_COUNTER, signed
from shared.trust.succession import hand_over

ROOT, OTHER, FIRST, SECOND, THIRD, THIEF = (SecretKey(bytes([n] * 32)) for n in range(6))
KEYS = {1: FIRST, 2: SECOND, 3: THIRD}
ROUND = Topics("chorus").round


def said(
    key: SecretKey, counter: int, issued: Issued | None, succession: list[Successor] | None = None
) -> bytes:
    brought = [f'"issued":{issued.model_dump_json()}'] if issued else []
    if succession:
        told = ",".join(one.model_dump_json() for one in succession)
        brought.append(f'"succession":[{told}]')
    return signed(
        key, ROUND, ("{" + ",".join(['"protocol":"1.3"', *brought]) + "}").encode(), counter
    )


def announced(number: int, counter: int) -> bytes:
    """Say what the aggregator says with its key of this number."""
    return said(KEYS[number], counter, issue(ROOT, "chorus", number, KEYS[number].public))


@pytest.fixture
def place(tmp_path: Path) -> MembershipFolder:
    folder = MembershipFolder(tmp_path / "membership")
    folder.path.mkdir()
    SecretKey.kept(folder.key)
    keys = {"aggregator": str(FIRST.public), "root": str(ROOT.public)}
    joined = Joined(federation="chorus", name="kitchen", issued=1, **keys)
    write(folder.joined, joined)
    write_number(folder.heard_of(joined), 10)
    return folder


def test_it_follows_to_a_later_key_and_not_back(place: MembershipFolder) -> None:
    member = Membership(place)
    member.check(ROUND, announced(1, 11))
    member.check(ROUND, announced(3, 4))
    for one in (member, Membership(place)):
        assert (one.joined.aggregator, one.joined.issued) == (str(THIRD.public), 3)
        one.check(ROUND, announced(3, 4))
        for number in (1, 2):
            with pytest.raises(TrustError, match="replaced since"):
                one.check(ROUND, announced(number, 1 << 40))
        with pytest.raises(TrustError, match="older than the last one"):
            one.check(ROUND, announced(3, 3))
    assert [path.name for path in place.path.glob("heard*")] == ["heard-3"]


def test_a_stolen_key_leads_nowhere_else(place: MembershipFolder) -> None:
    member, first = Membership(place), issue(ROOT, "chorus", 1, FIRST.public)
    handed_over = [hand_over(FIRST, THIEF.public)]
    for issued in (
        None,
        first,
        issue(OTHER, "chorus", 9, THIEF.public),
        issue(FIRST, "chorus", 9, THIEF.public),
    ):
        with pytest.raises(
            TrustError, match="is not from the aggregator that this device has joined"
        ):
            member.check(ROUND, said(THIEF, 50, issued, handed_over))
    assert member.joined.aggregator == str(FIRST.public)


def test_a_stolen_key_that_has_used_up_all_numbers_is_replaced_all_the_same(
    place: MembershipFolder,
) -> None:
    member = Membership(place)
    member.check(ROUND, announced(1, LARGEST_COUNTER))
    member.check(ROUND, announced(2, 3))
    Membership(place).check(ROUND, announced(2, 4))


def test_a_device_that_is_killed_while_it_follows_goes_on(place: MembershipFolder) -> None:
    before = place.joined.read_bytes()
    Membership(place).check(ROUND, announced(2, 30))
    place.joined.write_bytes(before)  # as if it had been killed before it wrote this
    write_number(place.heard_of(Joined.read(place.joined)), 10)
    member = Membership(place)
    with pytest.raises(TrustError, match="older than the last one"):
        member.check(ROUND, announced(2, 29))
    member.check(ROUND, announced(1, 10))
    member.check(ROUND, announced(2, 30))
    assert member.joined.issued == 2
