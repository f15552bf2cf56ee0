"""Published vectors of what secure aggregation is made of, and what must hold of shares."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TrustError
from shared.protocol.secure import SHARE_BYTES
from shared.secure.masks import keystream
from shared.secure.sealing import opened, seal
from shared.secure.sharing import (
    PRIME,
    SECRET_BYTES,
    at_zero,
    combined,
    evaluated,
    split,
)
from shared.trust.exchange import both_halves, derived, public_half
from shared.trust.keys import SecretKey
from tests.secure_rounds import drawing

KEY = bytes(range(32))

secrets_ = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


def test_an_exchange_is_that_of_rfc_7748() -> None:
    ours = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    theirs = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    given_to_them = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    given_to_us = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    both = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert public_half(ours).hex() == given_to_them
    assert public_half(theirs).hex() == given_to_us
    assert both_halves(ours, public_half(theirs)).hex() == both
    assert both_halves(theirs, public_half(ours)).hex() == both


@pytest.mark.parametrize("useless", [bytes(32), b"\1" + bytes(31), b"short"])
def test_a_key_that_makes_the_same_secret_with_all_others_is_refused(useless: bytes) -> None:
    with pytest.raises(TrustError, match="of no use"):
        both_halves(KEY, useless)


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
    ],
)
def test_a_signature_is_that_of_rfc_8032(
    secret: str, public: str, message: str, signature: str
) -> None:
    key = SecretKey(bytes.fromhex(secret))
    assert str(key.public) == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert key.public.verifies(bytes.fromhex(signature), bytes.fromhex(message))
    assert not key.public.verifies(bytes.fromhex(signature), b"another")


def test_a_key_is_derived_as_in_rfc_5869() -> None:
    salt, purpose = bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert derived(b"\x0b" * 22, salt, purpose, 42).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@pytest.mark.parametrize(
    ("key", "nonce", "block"),
    [
        (
            bytes(32),
            bytes(16),
            (
                "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
            ),
        ),
        (
            KEY,
            bytes.fromhex("01000000000000090000004a00000000"),
            (
                "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
                "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
            ),
        ),
    ],
)
def test_a_keystream_is_that_of_rfc_8439(key: bytes, nonce: bytes, block: str) -> None:
    assert keystream(key, 64, nonce).hex() == block


def test_a_seal_is_that_of_rfc_8439() -> None:
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    about = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    message = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    sealed = seal(key, message, about, nonce)
    assert sealed.hex() == (
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b6116"
        "1ae10b594f09e26a7e902ecbd0600691"
    )
    assert opened(key, sealed, about, nonce) == message


def test_what_is_sealed_opens_for_nothing_else() -> None:
    sealed = seal(KEY, b"shares", b"from kitchen to desk")
    changed = [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))]
    for key, text, about in [
        (bytes(32), sealed, b"from kitchen to desk"),
        (KEY, sealed, b"from desk to kitchen"),
        (KEY, sealed[:-1], b"from kitchen to desk"),
        (KEY, b"", b"from kitchen to desk"),
        *((KEY, each, b"from kitchen to desk") for each in changed),
    ]:
        with pytest.raises(ValueError, match="does not open"):
            opened(key, text, about)


def test_shares_are_those_of_a_published_example() -> None:
    """Wikipedia, *Shamir's secret sharing*: 1234 is shared among six, three give it back."""
    shares = {x: evaluated([1234, 166, 94], x, 1613) for x in range(1, 7)}
    assert shares == {1: 1494, 2: 329, 3: 965, 4: 176, 5: 1188, 6: 775}
    assert at_zero({2: 329, 4: 176, 5: 1188}, 1613) == 1234


@given(secrets_, st.data())
def test_any_shares_as_many_as_the_threshold_give_the_secret(
    secret: bytes, data: st.DataObject
) -> None:
    count = data.draw(st.integers(3, 12))
    threshold = data.draw(st.integers(1, count))
    shares = dict(enumerate(split(secret, threshold, count, drawing("shares")), 1))
    assert {len(share) for share in shares.values()} == {SHARE_BYTES}
    chosen = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert combined({number: shares[number] for number in chosen}) == secret


@given(secrets_, secrets_, st.integers(2, 9), st.data())
def test_one_share_less_fits_any_other_secret_as_well(
    secret: bytes, other: bytes, threshold: int, data: st.DataObject
) -> None:
    """For each other secret there is exactly one polynomial through it and the t - 1 shares."""
    count = threshold + 2
    shares = split(secret, threshold, count, drawing("shares"))
    chosen = data.draw(st.permutations(range(1, count + 1)))[: threshold - 1]
    seen = {number: int.from_bytes(shares[number - 1]) for number in chosen}
    further = next(number for number in range(1, count + 1) if number not in seen)
    # The share that the next device would have to hold for the other secret to be the one.
    points = {0: int.from_bytes(other), **seen}
    held = at_zero({number - further: value for number, value in points.items()})
    assert combined({**{n: shares[n - 1] for n in chosen}, further: held.to_bytes(33)}) == other


def test_shares_of_no_secret_are_refused() -> None:
    shares = dict(enumerate(split(KEY, 2, 3, drawing("shares")), 1))
    with pytest.raises(ValueError, match="no number of the field"):
        combined({**shares, 2: PRIME.to_bytes(SHARE_BYTES)})
    with pytest.raises(ValueError, match="no secret of 32 bytes"):
        combined({1: (PRIME - 1).to_bytes(SHARE_BYTES)})


def test_the_field_is_the_one_that_the_document_names() -> None:
    assert pow(3, PRIME - 1, PRIME) == 1
    page = (Path(__file__).parents[3] / "docs" / "secure.md").read_text()
    found = re.search(r"2\^256 \+ (\d+)", page)
    assert found
    assert int(found[1]) + (1 << 256) == PRIME
