"""Signed messages: what holds, what is refused, and the vectors of docs/protocol.md."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StorageError, TrustError
from shared.protocol.messages import Presence
from shared.trust.counter import BLOCK, Counter, Highest
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import counter_of, signed, unsigned

KEY, OTHER = SecretKey(bytes(range(32))), SecretKey(bytes(32))
TOPIC = "chorus/chorus/clients/kitchen/presence"
MESSAGE = Presence(state="online", examples=3).encode()
PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"


def test_a_signed_message_is_still_the_message() -> None:
    payload = signed(KEY, TOPIC, MESSAGE, 17)
    assert counter_of(KEY.public, TOPIC, payload) == 17
    assert unsigned(payload) == MESSAGE
    assert unsigned(MESSAGE) == MESSAGE
    assert Presence.decode(payload) == Presence.decode(MESSAGE), "for a reader of 1.0 or 1.1"


def test_no_byte_can_be_changed_left_out_or_added() -> None:
    payload = signed(KEY, TOPIC, MESSAGE, 17)
    altered = [
        *(payload[:i] + bytes([payload[i] ^ 1]) + payload[i + 1 :] for i in range(len(payload))),
        *(payload[:i] + payload[i + 1 :] for i in range(len(payload))),
        *(payload[:i] + b" " + payload[i:] for i in range(len(payload) + 1)),
        payload + b"\n",
        payload[:-1] + b',"examples":9}',
        signed(OTHER, TOPIC, unsigned(payload), 17),
    ]
    for one in altered:
        with pytest.raises(TrustError):
            counter_of(KEY.public, TOPIC, one)


@pytest.mark.parametrize(
    "topic",
    [
        "chorus/chorus/clients/desk/presence",
        "chorus/chorus/clients/kitchen/requests",
        "chorus/other/clients/kitchen/presence",
        "chorus/chorus/clients/kitchen/presenc",
    ],
)
def test_a_message_counts_for_no_other_topic(topic: str) -> None:
    with pytest.raises(TrustError, match="another key"):
        counter_of(KEY.public, topic, signed(KEY, TOPIC, MESSAGE, 17))


@pytest.mark.parametrize("payload", [MESSAGE, b"", b"{}", b'{"signature":"00"}'])
def test_what_nobody_has_signed_is_said_to_be_so(payload: bytes) -> None:
    with pytest.raises(TrustError, match="not signed"):
        counter_of(KEY.public, TOPIC, payload)


@given(st.binary(max_size=400))
def test_whatever_comes_is_refused_in_order(payload: bytes) -> None:
    for one in (payload, payload + signed(KEY, TOPIC, MESSAGE, 1)[-160:]):
        with pytest.raises(TrustError):
            counter_of(KEY.public, TOPIC, one)


def test_the_vectors_of_the_document_hold() -> None:
    found = re.search(r"```json signed\n(.+?)```", PAGE.read_text(), re.DOTALL)
    assert found
    vectors = json.loads(found[1])
    assert len(vectors) >= 3
    for vector in vectors:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["secret"]))
        assert key.public_key().public_bytes_raw().hex() == vector["public"]
        # As the document says it, and not as this project does.
        before = vector["payload"].partition(',"signature":"')[0]
        text = f"chorus signed 1\0{vector['topic']}\0{before}"
        assert vector["payload"] == f'{before},"signature":"{key.sign(text.encode()).hex()}"}}'
        public = PublicKey.of(vector["public"])
        payload = vector["payload"].encode()
        assert counter_of(public, vector["topic"], payload) == vector["counter"]


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key.pem"
    first = SecretKey.kept(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SecretKey.kept(path).public == first.public
    assert SecretKey.kept(tmp_path / "another.pem").public != first.public


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_key_is_an_error_that_says_which_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(TrustError, match=re.escape(f"The key {path} cannot be used")):
        SecretKey.kept(path)
    assert path.read_bytes() == content, "it is not replaced by another"


def test_numbers_only_grow_over_restarts_and_whatever_the_clock_says(tmp_path: Path) -> None:
    path, given = tmp_path / "counter", list[int]()
    for now in (1e9, 1e9, 0.0, 5e8, 1.5e9):
        counter = Counter(path, lambda now=now: now)  # type: ignore[misc] # bound now
        given += [counter.next() for _ in range(3)]
    assert given == sorted(set(given))
    assert given[-1] >= 1.5e9 * BLOCK, "a folder from a copy goes on beyond what it has forgotten"


def test_numbers_that_were_set_aside_last_while_the_disk_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    counter = Counter(folder / "counter", lambda: 0.0, block=64)
    counter.next()
    (folder / "counter").unlink()
    folder.rmdir()
    folder.write_text("no folder: nothing can be written")
    assert [counter.next() for _ in range(63)] == list(range(1, 64))
    with pytest.raises(StorageError):
        counter.next()


def test_what_was_heard_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "heard"
    assert Highest(path).take(5)
    again = Highest(path)
    assert [again.take(number) for number in (5, 4, 6, 5)] == [True, False, True, False]
    path.write_text("five")
    with pytest.raises(TrustError):
        Highest(path)


def empty(path: Path) -> None:
    path.touch()


def garbled(path: Path) -> None:
    path.write_bytes(b"\xff five")


def endless(path: Path) -> None:
    path.write_text("9" * 10_000)


@pytest.mark.parametrize("damage", [empty, garbled, endless, os.mkfifo, Path.mkdir])
def test_a_number_that_cannot_be_read_is_said_before_anything_is_signed(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    damage(tmp_path / "counter")
    for kind in (Counter, Highest):
        with pytest.raises(TrustError, match="should hold a number, and does not"):
            kind(tmp_path / "counter")


@pytest.mark.parametrize("damage", [os.mkfifo, endless])
def test_a_key_that_is_no_small_file_is_refused(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    damage(path)
    with pytest.raises(TrustError, match="cannot be used"):
        SecretKey.read(path)
