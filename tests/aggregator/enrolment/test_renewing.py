"""A device that joins again: what its old key says of the new one."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from aggregator.enrolment.invitations import invite, let_in
from aggregator.enrolment.members import Members
from shared.protocol.fields import MOST_HANDED_OVER, Successor
from shared.protocol.topics import Topics
from shared.trust.keys import SecretKey
from shared.trust.succession import hand_over
from tests.memberships import request
from tests.secure_rounds import lasting_key

TOPICS = Topics("chorus")
AGGREGATOR = lasting_key("aggregator")
OLD, NEW, OTHER = (lasting_key(name) for name in ("old", "new", "other"))


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    with Members(tmp_path / "members.sqlite") as opened:
        yield opened


def join(members: Members, key: SecretKey, successor: Successor | None = None) -> None:
    invitation = invite(members, TOPICS, "desk", hours=1, again=True)
    payload = request(invitation, key, AGGREGATOR.public, successor=successor)
    let_in(members, TOPICS, "desk", payload, [AGGREGATOR.public])


def test_what_the_old_key_says_of_the_new_one_is_kept(members: Members) -> None:
    join(members, OLD)
    assert members.joined()["desk"].succession == ()
    first, second = hand_over(OLD, NEW.public), hand_over(NEW, OTHER.public)
    join(members, NEW, first)
    assert members.joined()["desk"].succession == (first,)
    join(members, OTHER, second)
    assert members.joined()["desk"].succession == (first, second)
    assert members.joined()["desk"].key == OTHER.public


@pytest.mark.parametrize(
    "successor", [None, hand_over(OTHER, NEW.public), hand_over(OLD, OTHER.public)]
)
def test_a_device_without_its_old_key_joins_without_a_word_of_it(
    members: Members, successor: Successor | None
) -> None:
    join(members, OLD)
    join(members, NEW, successor)
    assert members.joined()["desk"].key == NEW.public
    assert members.joined()["desk"].succession == ()


def test_the_newest_statements_are_kept(members: Members) -> None:
    keys = [SecretKey(bytes([number] * 32)) for number in range(MOST_HANDED_OVER + 3)]
    join(members, keys[0])
    said = []
    for before, key in pairwise(keys):
        said.append(hand_over(before, key.public))
        join(members, key, said[-1])
    assert list(members.joined()["desk"].succession) == said[-MOST_HANDED_OVER:]
