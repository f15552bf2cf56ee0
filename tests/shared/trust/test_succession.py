"""A key hands over to the next one, and who has missed it follows."""

import itertools

import pytest

from shared.errors import TrustError
from shared.protocol.fields import MOST_HANDED_OVER, Successor
from shared.trust.keys import SecretKey
from shared.trust.signing import signed
from shared.trust.succession import hand_over, newest, signer_of

KEYS = [SecretKey(bytes([number] * 32)) for number in range(4)]
STRANGER = SecretKey(bytes([99] * 32))
CHAIN = [hand_over(old, new.public) for old, new in itertools.pairwise(KEYS)]
TOPIC = "chorus/chorus/round"


def message(succession: list[Successor]) -> bytes:
    told = ",".join(one.model_dump_json() for one in succession)
    return b'{"protocol":"1.2","succession":[%s]}' % told.encode()


@pytest.mark.parametrize("believed", range(4))
def test_whoever_has_missed_some_follows_to_the_newest(believed: int) -> None:
    assert newest(KEYS[believed].public, CHAIN) == KEYS[3].public
    payload = signed(KEYS[3], TOPIC, message(CHAIN), 7)
    assert signer_of(KEYS[believed].public, TOPIC, payload) == (KEYS[3].public, 7)


def test_an_old_key_is_not_believed_by_who_has_followed() -> None:
    for payload in (message(CHAIN), message([hand_over(KEYS[0], STRANGER.public)])):
        with pytest.raises(TrustError, match="signed by another key"):
            signer_of(KEYS[1].public, TOPIC, signed(KEYS[0], TOPIC, payload, 8))


@pytest.mark.parametrize(
    "succession",
    [
        [],
        CHAIN[1:],  # a link is missing
        [hand_over(STRANGER, STRANGER.public)],
        [CHAIN[0].model_copy(update={"key": str(STRANGER.public)})],
        CHAIN * (MOST_HANDED_OVER // len(CHAIN) + 1),  # too long
    ],
)
def test_nobody_else_is_followed(succession: list[Successor]) -> None:
    for key in (STRANGER, KEYS[3]):
        with pytest.raises(TrustError, match="signed by another key"):
            signer_of(KEYS[0].public, TOPIC, signed(key, TOPIC, message(succession), 9))


def test_what_is_handed_over_to_has_to_sign_itself() -> None:
    payload = signed(KEYS[3], TOPIC, message(CHAIN), 7)
    changed = payload.replace(b'"protocol":"1.2"', b'"protocol":"1.3"')
    for wrong, topic in ((changed, TOPIC), (payload, "chorus/other/round")):
        with pytest.raises(TrustError, match="signed by another key"):
            signer_of(KEYS[0].public, topic, wrong)
    with pytest.raises(TrustError, match="not signed"):
        signer_of(KEYS[0].public, TOPIC, message(CHAIN))
