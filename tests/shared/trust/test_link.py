"""The link of an invitation, and what both sides compute from its code."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TrustError
from shared.trust.joining import (
    account_password,
    guest_password,
    new_code,
    new_secret,
    proof_of,
    public_half,
)
from shared.trust.keys import PublicKey
from shared.trust.link import Link

LINK = Link(
    host="hub.local",
    port=8883,
    federation="chorus",
    name="kitchen",
    aggregator=PublicKey(bytes(range(32))),
    code=bytes(range(100, 116)),
    tls=True,
    fingerprint=bytes(range(200, 232)),
)


@pytest.mark.parametrize(
    "link",
    [
        LINK,
        replace(LINK, fingerprint=None),
        replace(LINK, fingerprint=None, tls=False),
        replace(LINK, host="fe80::1"),
        replace(LINK, host="192.168.1.10"),
    ],
)
def test_a_link_says_what_it_was_made_of(link: Link) -> None:
    assert Link.of(str(link)) == link
    assert Link.of(f"  {link}\n") == link, "as it is pasted"


def test_a_link_fits_into_a_qr_code_that_a_phone_reads_from_a_screen() -> None:
    assert len(str(LINK)) < 200


def test_a_link_that_is_cut_short_anywhere_is_told_from_a_whole_one() -> None:
    text = str(LINK)
    for end in range(len(text)):
        with pytest.raises(TrustError, match="no whole link"):
            Link.of(text[:end])


def test_a_link_with_a_wrong_letter_is_refused() -> None:
    text = str(LINK)
    for place in range(len(text)):
        wrong = text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]
        with pytest.raises(TrustError):
            Link.of(wrong)


@given(st.text(max_size=300))
def test_whatever_is_given_as_a_link_is_refused_in_one_sentence(text: str) -> None:
    for one in (text, "chorus://a:1/b/c#" + text):
        with pytest.raises(TrustError):
            Link.of(one)


def test_both_sides_compute_the_same_password_and_nobody_else() -> None:
    code, device, aggregator = new_code(), new_secret(), new_secret()
    topic = "chorus/chorus/clients/kitchen/join"
    ours = account_password(code, aggregator, public_half(device), topic)
    assert account_password(code, device, public_half(aggregator), topic) == ours
    others = {
        account_password(new_code(), device, public_half(aggregator), topic),
        account_password(code, new_secret(), public_half(aggregator), topic),
        account_password(code, device, public_half(aggregator), topic.replace("kitchen", "desk")),
        guest_password(code),
    }
    assert ours not in others
    assert len(others) == 4
    with pytest.raises(TrustError):
        account_password(code, device, bytes(32), topic)


def test_the_proof_holds_for_these_keys_and_this_place_alone() -> None:
    facts = {"device": PublicKey(bytes(32)), "aggregator": PublicKey(bytes([1] * 32))}
    facts |= {"half": bytes(32), "nonce": bytes(16)}  # type: ignore[dict-item] # of two kinds
    whole = proof_of(bytes(16), "topic", **facts)  # type: ignore[arg-type] # as above
    changed = [
        proof_of(bytes([1] * 16), "topic", **facts),  # type: ignore[arg-type] # as above
        proof_of(bytes(16), "topics", **facts),  # type: ignore[arg-type] # as above
        *(
            proof_of(bytes(16), "topic", **{**facts, name: value})  # type: ignore[arg-type] # as above
            for name, value in {
                "device": PublicKey(bytes([2] * 32)),
                "aggregator": PublicKey(bytes([2] * 32)),
                "half": bytes([2] * 32),
                "nonce": bytes([2] * 16),
            }.items()
        ),
    ]
    assert len({whole, *changed}) == 7
