"""docs/secure.md is exact: what it says is computed here from the page alone, with no code of ours.

Of ours are only the messages' JSON and the devices whose messages are looked at.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.protocol.secure import Consent, Keys, Revealed, Roster, SealedShares
from shared.secure.terms import Stage, Terms
from tests.secure_rounds import Federation, names, update_of

PAGE = Path(__file__).parents[3] / "docs" / "secure.md"

LABEL = b"chorus secure 1 "
FIRST, SECOND, THIRD, GONE = names(4)


def round_name(terms: Terms) -> bytes:
    text = (
        f'{{"asked":"{terms.asked}","bits":{terms.bits},"federation":"{terms.federation}","fewest":{terms.fewest},'
        f'"length":{terms.length},"number":{terms.number},"run":"{terms.run}"}}'
    )
    assert json.loads(text)
    return hashlib.sha256(b"chorus secure 1 terms\0" + text.encode()).digest()


def stretched(secret: bytes, other: bytes, salt: bytes, info: bytes) -> bytes:
    private = X25519PrivateKey.from_private_bytes(secret)
    both = private.exchange(X25519PublicKey.from_public_bytes(other))
    return HKDF(SHA256(), 32, salt, info).derive(both)


def mask(key: bytes, length: int, bits: int) -> list[int]:
    size = next(size for size in (1, 2, 4) if 8 * size >= bits)
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size * length))
    words = [stream[at : at + size] for at in range(0, len(stream), size)]
    return [int.from_bytes(word, "little") % 2**bits for word in words]


def entry(name: str, roster: Roster) -> bytes:
    keys = roster.devices[name]
    return name.encode() + b"\0" + keys.seal + keys.mask + keys.commitment


@pytest.fixture(params=[8, 13, 16, 21, 32])
def federation(request: pytest.FixtureRequest, tmp_path: Path) -> Federation:
    terms = Terms("chorus", "ab" * 16, 7, length=9, bits=request.param)
    return Federation(tmp_path, 4, terms)


def test_keys_are_named_committed_to_and_signed_as_it_says(federation: Federation) -> None:
    client = federation.clients[FIRST]
    secrets = client._secrets
    said = Keys.decode(client.keys())
    name = round_name(federation.terms)
    assert said.secure_round == name
    seed = hashlib.sha256(LABEL + b"seed\0" + name + FIRST.encode() + b"\0" + secrets.seed)
    assert said.keys.commitment == seed.digest()
    roster = Roster(secure_round=name, devices={FIRST: said.keys})
    lasting = Ed25519PublicKey.from_public_bytes(federation.known[FIRST].raw)
    lasting.verify(said.keys.signature, LABEL + b"keys\0" + name + entry(FIRST, roster))


def test_shares_are_sealed_as_it_says(federation: Federation) -> None:
    federation.run(until=Stage.MASKED)
    roster, name = federation.clients[FIRST]._roster, round_name(federation.terms)
    sealed = SealedShares.decode(federation.round.ask(SECOND)).sealed[FIRST]
    about = LABEL + b"shares\0" + name + FIRST.encode() + b"\0" + SECOND.encode()
    secret = federation.clients[SECOND]._secrets.seal
    key = stretched(secret, roster.devices[FIRST].seal, name, about)
    pair = ChaCha20Poly1305(key).decrypt(bytes(12), sealed, about)
    assert len(sealed) == 82
    assert len(pair) == 66


def test_updates_are_masked_and_packed_as_it_says(federation: Federation) -> None:
    terms, name = federation.terms, round_name(federation.terms)
    federation.run({Stage.SHARES: [GONE]}, until=Stage.MASKED)
    client = federation.clients[SECOND]
    secrets, roster = client._secrets, client._roster
    message = federation.answer(SECOND, Stage.MASKED, federation.round.ask(SECOND))
    expected = [int(value) for value in update_of(terms, SECOND)]
    own = mask(secrets.seed, terms.length, terms.bits)
    expected = [a + b for a, b in zip(expected, own, strict=True)]
    for other in (FIRST, THIRD):
        both = b"\0".join(sorted([SECOND.encode(), other.encode()]))
        key = stretched(secrets.mask, roster.devices[other].mask, name, LABEL + b"mask\0" + both)
        sign = 1 if other > SECOND else -1
        pairs = mask(key, terms.length, terms.bits)
        expected = [a + sign * b for a, b in zip(expected, pairs, strict=True)]
    whole = sum(value % 2**terms.bits << terms.bits * at for at, value in enumerate(expected))
    size = (terms.length * terms.bits + 7) // 8
    assert message == name + whole.to_bytes(size, "little")


def test_survivors_are_signed_and_secrets_shared_as_it_says(federation: Federation) -> None:
    name = round_name(federation.terms)
    secrets = {each: client._secrets for each, client in federation.clients.items()}
    federation.run({Stage.MASKED: [GONE]}, until=Stage.CONSENT)
    client = federation.clients[SECOND]
    roster, asked = client._roster, federation.round.ask(SECOND)
    said = Consent.decode(client.consent(asked))
    entries = hashlib.sha256(b"".join(entry(each, roster) for each in names(4))).digest()
    lists = b"\0".join(map(str.encode, names(4))) + b"\0\0" + b"\0".join(map(str.encode, names(3)))
    lasting = Ed25519PublicKey.from_public_bytes(federation.known[SECOND].raw)
    lasting.verify(said.signature, LABEL + b"survivors\0" + name + entries + lists)

    federation.round.take(SECOND, said.encode())
    federation.run(until=Stage.UNMASKING)
    asked = federation.round.ask(FIRST)
    answers = [Revealed.decode(federation.clients[each].reveal(asked)) for each in names(3)]
    assert value_at_zero([a.seeds[THIRD] for a in answers]) == secrets[THIRD].seed
    assert value_at_zero([a.keys[GONE] for a in answers]) == secrets[GONE].mask


def value_at_zero(shares: list[bytes]) -> bytes:
    """Interpolate through the points 1, 2 and 3: 3 f(1) - 3 f(2) + f(3)."""
    first, second, third = map(int.from_bytes, shares)
    return ((3 * first - 3 * second + third) % (2**256 + 297)).to_bytes(32)


def test_the_page_lists_each_reason() -> None:
    rows = {line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    raised = set()
    for package in ("shared", "edge_client", "aggregator"):
        for path in (PAGE.parents[1] / package / "secure").glob("*.py"):
            given = re.findall(r"reason=(.+)", path.read_text())
            raised |= {reason for text in given for reason in re.findall(r'"([a-z-]+)"', text)}
    assert raised == rows
