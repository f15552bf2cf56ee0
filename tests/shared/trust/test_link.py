"""The link of an invitation, and what both sides compute from its code."""

import base64
import hmac
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TrustError
from shared.trust.exchange import new_secret, public_half
from shared.trust.joining import (
    account_password,
    guest_password,
    new_code,
    proof_of,
)
from shared.trust.keys import PublicKey
from shared.trust.link import Link

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"

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
        replace(LINK, issued=1_780_000_000),
        replace(LINK, issued=0, fingerprint=None),
        replace(LINK, host="192.168.1.10"),
    ],
)
def test_a_link_says_what_it_was_made_of(link: Link) -> None:
    assert Link.of(str(link)) == link
    assert Link.of(f"  {link}\n") == link, "as it is pasted"


def test_a_link_fits_into_a_qr_code_that_a_phone_reads_from_a_screen() -> None:
    assert len(str(replace(LINK, issued=1_780_000_000))) < 200


def test_a_link_that_is_cut_short_anywhere_is_told_from_a_whole_one() -> None:
    for text in (str(LINK), str(replace(LINK, issued=1_780_000_000))):
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


def test_the_vectors_of_the_document_hold() -> None:
    """They are computed as the document says it, with other people's functions alone."""
    found = re.search(r"```json joining\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found
    told = json.loads(found[1])
    raw = {name: value for name, value in told.items() if re.fullmatch("[0-9a-f]{32,}", value)}
    of = {name: bytes.fromhex(value) for name, value in raw.items()}

    def derived(material: bytes, salt: bytes, what: str, length: int) -> bytes:
        info = f"chorus join 1 {what}".encode()
        return HKDF(SHA256(), length, salt, info).derive(material)

    guest = derived(of["code"], b"", "guest", 24)
    assert told["guest_password"] == base64.urlsafe_b64encode(guest).decode()
    text = b"chorus join 1 " + told["topic"].encode() + b"\0"
    text += of["device"] + of["aggregator"] + of["device_half"] + of["nonce"]
    key = derived(of["code"], b"", "proof", 32)
    assert of["proof"] == hmac.digest(key, text, "sha256")
    for mine, other in (("device", "aggregator"), ("aggregator", "device")):
        half = X25519PrivateKey.from_private_bytes(of[f"{mine}_secret"])
        assert half.public_key().public_bytes_raw() == of[f"{mine}_half"]
        both = half.exchange(X25519PublicKey.from_public_bytes(of[f"{other}_half"]))
        account = derived(both, of["code"], f"account {told['topic']}", 24)
        assert told["account_password"] == base64.urlsafe_b64encode(account).decode()

    before, text_part = told["link"].split("#")
    body = base64.urlsafe_b64decode(text_part + "=" * (-len(text_part) % 4))
    assert body[:-4] == b"\1\2" + of["aggregator"] + of["code"] + of["fingerprint"]
    assert body[-4:] == zlib.crc32(f"{before}#".encode() + body[:-4]).to_bytes(4)
    link = Link.of(told["link"])
    assert (str(link.aggregator), link.code) == (told["aggregator"], of["code"])
