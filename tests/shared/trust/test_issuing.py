"""A root issues the keys that the aggregator signs with; whom its devices believe then."""

import json
import re
from pathlib import Path

import pytest

from shared.errors import TrustError
from shared.protocol.fields import Issued
from shared.trust.issuing import Root, issue
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import signed
from shared.trust.succession import hand_over

ROOT, OTHER, FIRST, SECOND, THIEF = (SecretKey(bytes([number] * 32)) for number in range(5))
KNOWN = Root(ROOT.public, "chorus")
TOPIC = "chorus/chorus/round"
PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"


def message(issued: Issued | None, more: str = "") -> bytes:
    said = f',"issued":{issued.model_dump_json()}' if issued else ""
    return f'{{"protocol":"1.3"{said}{more}}}'.encode()


def test_a_key_is_believed_that_the_root_has_issued() -> None:
    issued = issue(ROOT, "chorus", 5, SECOND.public)
    payload = signed(SECOND, TOPIC, message(issued), 7)
    for least in (0, 5):
        assert KNOWN.signer_of(least, TOPIC, payload) == (issued, 7)


def test_an_earlier_key_is_not_whatever_it_signs() -> None:
    earlier = issue(ROOT, "chorus", 4, FIRST.public)
    with pytest.raises(TrustError, match="the root has replaced since"):
        KNOWN.signer_of(5, TOPIC, signed(FIRST, TOPIC, message(earlier), 1 << 50))


def test_what_an_earlier_key_hands_over_to_is_not() -> None:
    said = hand_over(FIRST, THIEF.public).model_dump_json()
    for issued in (None, issue(ROOT, "chorus", 4, FIRST.public)):
        payload = signed(THIEF, TOPIC, message(issued, f',"succession":[{said}]'), 9)
        with pytest.raises(TrustError):
            KNOWN.signer_of(5, TOPIC, payload)


GOOD = issue(ROOT, "chorus", 5, SECOND.public)


@pytest.mark.parametrize(
    "issued",
    [
        None,
        issue(OTHER, "chorus", 5, SECOND.public),
        issue(ROOT, "another", 5, SECOND.public),
        GOOD.model_copy(update={"number": 6}),
        GOOD.model_copy(update={"key": str(THIEF.public)}),
        GOOD.model_copy(update={"signature": "0" * 128}),
    ],
)
def test_nobody_else_is(issued: Issued | None) -> None:
    for key in (SECOND, THIEF):
        with pytest.raises(TrustError, match="has not issued"):
            KNOWN.signer_of(0, TOPIC, signed(key, TOPIC, message(issued), 7))


def test_a_statement_alone_is_worth_nothing() -> None:
    payload = signed(SECOND, TOPIC, message(GOOD), 7)
    for wrong, topic in (
        (signed(THIEF, TOPIC, message(GOOD), 7), TOPIC),
        (payload.replace(b'"protocol":"1.3"', b'"protocol":"1.4"'), TOPIC),
        (payload, "chorus/another/round"),
    ):
        with pytest.raises(TrustError, match="signed by another key"):
            KNOWN.signer_of(0, topic, wrong)
    with pytest.raises(TrustError, match="not signed"):
        KNOWN.signer_of(0, TOPIC, message(GOOD))
    with pytest.raises(TrustError):
        KNOWN.signer_of(0, TOPIC, b"no message")


def test_the_documents_statement_is_the_roots() -> None:
    found = re.search(r"```json issued\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found
    told = json.loads(found[1])
    root, issued = Root(PublicKey.of(told["root"]), told["federation"]), Issued(**told["issued"])
    assert root.has_issued(issued)
    signed = b"chorus root 1\0chorus\0" + issued.number.to_bytes(8) + bytes.fromhex(issued.key)
    assert root.key.verifies(bytes.fromhex(issued.signature), signed)
