"""Messages in words."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.protocol.fields import LARGEST_FILE, LAST_SEQUENCE, MOST_RANGES
from shared.protocol.messages import (
    LARGEST_MESSAGE,
    Accepted,
    Announcement,
    File,
    Message,
    Offer,
    Presence,
    Received,
    Refused,
    Unavailable,
    Want,
    decode_reply,
    decode_request,
)
from shared.round_settings import LONGEST_ROUND, MOST_ROUNDS
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from shared.training import TrainingSettings

DIGEST = "0123456789abcdef" * 4

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
runs = st.binary(min_size=16, max_size=16).map(bytes.hex)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True)
losses = st.floats(width=32, allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
offsets = st.integers(0, LARGEST_FILE)
ranges = st.lists(st.tuples(offsets, offsets), max_size=20)
files = st.builds(File, digest=digests, size=st.integers(1, LARGEST_FILE))
sentences = texts.map(str)
labels = st.lists(
    st.from_regex(r"[a-z]{1,8}[0-9]", fullmatch=True), min_size=2, max_size=32, unique=True
)
tasks = labels.map(lambda names: Task(labels_of(names), PAPER34))
confusions = st.integers(2, 32).flatmap(
    lambda size: st.lists(
        st.lists(counts, min_size=size, max_size=size), min_size=size, max_size=size
    )
)

announcements = st.builds(
    Announcement,
    federation=names,
    run=runs,
    state=st.sampled_from(["waiting", "open", "finished"]),
    round=st.integers(1, MOST_ROUNDS),
    architecture=st.sampled_from(["dense", "conv", "lstm", "tdnn-2"]),
    task=st.just(DEFAULT_TASK) | tasks,
    model=files,
    averaged=st.none() | files,
    control=st.none() | files,
    training=st.builds(
        TrainingSettings,
        learning_rate=st.floats(1e-9, 1e3),
        epochs=st.none() | st.integers(1, 100),
        dropout=st.booleans(),
    ),
    codecs=st.lists(texts.map(lambda text: text[:64]), min_size=1, max_size=16),
    seed=st.integers(0, (1 << 63) - 1),
    clients=st.none() | st.lists(names, max_size=5),
    closes_in=st.none() | st.floats(0, LONGEST_ROUND),
    chunk=st.integers(1024, 1 << 24),
)
presences = st.builds(
    Presence,
    state=st.sampled_from(["online", "offline"]),
    examples=st.integers(0, 10**9),
    trains=st.booleans(),
    software=texts,
)
offers = st.builds(
    Offer,
    update=digests,
    size=st.integers(1, LARGEST_FILE),
    run=runs,
    round=st.integers(1, MOST_ROUNDS),
    model=digests,
    task=st.just(DEFAULT_TASK.digest) | digests,
    codec=texts.map(lambda text: text[:64]),
    examples=st.integers(1, 10**9),
    loss=st.none() | losses,
    confusion=st.none() | confusions,
)
wants = st.builds(Want, file=digests, ranges=ranges, seen=st.integers(0, LAST_SEQUENCE))
replies = st.one_of(
    st.builds(Received, update=digests, ranges=ranges, window=offsets),
    st.builds(Accepted, update=digests),
    st.builds(
        Refused,
        update=digests,
        reason=st.sampled_from(["late", "duplicate", "uninvited", "foreign", "damaged", "invalid"]),
        sentence=sentences,
    ),
    st.builds(Unavailable, file=digests, sentence=sentences),
)


def decode(payload: bytes, kind: type[Message] | str) -> Message:
    if kind == "request":
        return decode_request(payload)
    if kind == "reply":
        return decode_reply(payload)
    assert isinstance(kind, type)
    return kind.decode(payload)


KINDS: tuple[type[Message] | str, ...] = (Announcement, Presence, "request", "reply")

messages = st.one_of(
    st.tuples(announcements, st.just(Announcement)),
    st.tuples(presences, st.just(Presence)),
    st.tuples(offers | wants, st.just("request")),
    st.tuples(replies, st.just("reply")),
)


@given(messages)
@settings(max_examples=300, deadline=None)
def test_a_message_comes_back(case: tuple[Message, type[Message] | str]) -> None:
    message, kind = case
    assert decode(message.encode(), kind) == message


@given(messages, st.integers(0, 9999))
@settings(deadline=None)
def test_a_newer_minor_version_is_understood(
    case: tuple[Message, type[Message] | str], minor: int
) -> None:
    message, kind = case
    values = json.loads(message.encode())
    newer = values | {"protocol": f"1.{minor}", "more": {"fields": [None] * 3}}
    if "training" in values:
        newer["training"] = values["training"] | {"warmup": 3}
    if "model" in values and isinstance(values["model"], dict):
        newer["model"] = values["model"] | {"mirror": "elsewhere"}
    read = decode(json.dumps(newer).encode(), kind)
    assert read.model_copy(update={"protocol": message.protocol}) == message


@given(messages, st.sampled_from(["0.9", "2.0", "11.0", "2", "", "x", "1\n.0", "\uff11.0"]))
@settings(deadline=None)
def test_another_major_version_is_refused_with_the_reason(
    case: tuple[Message, type[Message] | str], version: str
) -> None:
    message, kind = case
    payload = json.dumps({**json.loads(message.encode()), "protocol": version}).encode()
    with pytest.raises(ProtocolError, match="other side speaks protocol") as raised:
        decode(payload, kind)
    assert "same major version" in raised.value.remedy
    assert raised.value.problem.isprintable()


@pytest.mark.parametrize("version", [None, 1, 1.0, ["1.0"], True])
def test_a_version_that_is_no_text_is_refused(version: object) -> None:
    with pytest.raises(ProtocolError, match="does not say its protocol"):
        Presence.decode(json.dumps({"protocol": version, "state": "online"}).encode())


@pytest.mark.parametrize("number", [10**39, float("inf"), 1e300])
@pytest.mark.parametrize("name", ["round", "size", "examples", "loss"])
def test_a_number_that_nothing_could_hold_is_refused(name: str, number: float) -> None:
    values = {"kind": "offer", "update": DIGEST, "size": 8, "run": "0" * 32, "round": 1}
    values |= {"model": DIGEST, "codec": "int8", "examples": 3, "protocol": "1.1"}
    assert decode_request(json.dumps(values).encode())
    with pytest.raises(ProtocolError, match=f"message is wrong: (offer.)?{name}"):
        decode_request(json.dumps(values | {name: number}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["protocol", "kind", "update", "ranges", "training", "state", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.binary(max_size=100)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"protocol": "1.0", "kind": value}).encode()),
    st.sampled_from(KINDS),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_message_or_refused(payload: bytes, kind: type[Message] | str) -> None:
    check_refused_or_read(payload, kind)


@given(messages, st.data())
@settings(max_examples=300, deadline=None)
def test_any_change_is_a_message_or_refused(
    case: tuple[Message, type[Message] | str], data: st.DataObject
) -> None:
    message, kind = case
    values = json.loads(message.encode())
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(json_values)
    check_refused_or_read(json.dumps(values).encode(), kind)


def check_refused_or_read(payload: bytes, kind: type[Message] | str) -> None:
    try:
        message = decode(payload, kind)
    except ProtocolError as error:
        problem = error.problem
    else:
        problem = ""
        assert decode(message.encode(), kind) == message
    assert len(problem) < 600
    assert not problem or problem.isprintable()


OFFER: dict[str, Any] = {
    "protocol": "1.0",
    "kind": "offer",
    "update": DIGEST,
    "size": 1,
    "run": DIGEST[:32],
    "round": 1,
    "model": DIGEST,
    "codec": "int8",
    "examples": 5,
}


def with_(**changes: Any) -> bytes:
    return json.dumps(OFFER | changes).encode()


def test_the_offer_itself_is_one() -> None:
    assert isinstance(decode_request(with_()), Offer)


@pytest.mark.parametrize(
    "payload",
    [
        with_(examples=0),
        with_(examples=-1),
        with_(examples=10**9 + 1),
        with_(examples=10**400),
        with_(examples=1.5),
        with_(examples=float("nan")),
        with_(examples=None),
        with_(loss=float("nan")),
        with_(loss=float("-inf")),
        with_(size=LARGEST_FILE + 1),
        with_(size=0),
        with_(update=DIGEST[:-1]),
        with_(update=DIGEST.upper()),
        with_(update=DIGEST + "\n"),
        with_(run="../../etc/passwd"),
        with_(codec="x" * 65),
        with_(confusion=[[1, 2, 3, 4]] * 3),
        with_(confusion=[[1]]),
        with_(confusion=[[1] * 33] * 33),
        with_(confusion=[[1, 2], [1, 2, 3]]),
        with_(task=DIGEST[1:]),
        with_(confusion=[[1, 2, 3, -4]] * 4),
        with_(confusion=[[1, 2, 3, 10**6 + 1]] * 4),
        with_(kind="accepted"),
        with_(kind=["offer"]),
        with_(kind="\x1b[2J" + "x" * 100_000),
        with_(kind="want", file=DIGEST, ranges=[[0, 1]] * (MOST_RANGES + 1)),
        with_(kind="want", file=DIGEST, ranges=[[0, LARGEST_FILE + 1]]),
        with_(kind="want", file=DIGEST, ranges=[[0]]),
        with_(kind="want", file=DIGEST, ranges=[[0, 1]], seen=-1),
        with_(codec="\ud800"),
        with_().replace(b"5", b"1e999"),
        with_().replace(b"5", b"9" * 5000),
        b"[" * 100_000,
        b'{"protocol": "1.0", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"{" + b'"a":' * 1,
        b"null",
        b"\xff\xfe{",
        b"",
    ],
    ids=range(39),
)
def test_a_hostile_request_is_refused_in_a_sentence(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode_request(payload)
    assert len(raised.value.problem) < 600
    assert raised.value.problem.isprintable()


def test_too_long_a_message_is_refused_unread() -> None:
    fits = with_(x="x" * (LARGEST_MESSAGE - len(with_(x=""))))
    assert len(fits) == LARGEST_MESSAGE
    assert isinstance(decode_request(fits), Offer)
    with pytest.raises(ProtocolError, match="too long"):
        decode_request(fits + b" ")


ANNOUNCEMENT: dict[str, Any] = {
    "protocol": "1.0",
    "federation": "lab",
    "run": DIGEST[:32],
    "state": "open",
    "round": 1,
    "architecture": "conv",
    "model": {"digest": DIGEST, "size": 9},
    "training": {},
    "codecs": ["int8"],
    "seed": 0,
}


def test_what_a_client_or_aggregator_of_1_0_says_is_of_the_default_task() -> None:
    announced = Announcement.decode(json.dumps(ANNOUNCEMENT).encode())
    assert (announced.protocol, announced.task) == ("1.0", DEFAULT_TASK)
    offer = decode_request(with_())
    assert isinstance(offer, Offer)
    assert offer.task == DEFAULT_TASK.digest


TASK = DEFAULT_TASK.to_dict()


@pytest.mark.parametrize(
    "task",
    [
        [],
        "angry,sad",
        {},
        TASK | {"labels": []},
        TASK | {"labels": TASK["labels"][:1]},
        TASK | {"labels": TASK["labels"] * 2},
        TASK | {"labels": [{"name": "a"}] * 2},
        TASK | {"labels": [*TASK["labels"][:3], TASK["labels"][3] | {"name": "\x1b[2J"}]},
        TASK | {"labels": [*TASK["labels"][:3], TASK["labels"][3] | {"word": "x" * 33}]},
        TASK | {"front_end": TASK["front_end"] | {"frames": 10**9}},
        TASK | {"front_end": TASK["front_end"] | {"frames": "100"}},
        TASK | {"score": "accuracy"},
    ],
)
def test_a_task_that_is_none_is_refused_in_a_sentence(task: object) -> None:
    with pytest.raises(ProtocolError, match="A message is wrong: task: ") as raised:
        Announcement.decode(json.dumps(ANNOUNCEMENT | {"task": task}).encode())
    assert len(raised.value.problem) < 600
    assert raised.value.problem.isprintable()


@pytest.mark.parametrize("name", ["os:system", "../conv", "", "x" * 65, "con v", "\x1b"])
def test_a_model_is_announced_by_a_plain_name(name: str) -> None:
    with pytest.raises(ProtocolError, match="architecture"):
        Announcement.decode(json.dumps(ANNOUNCEMENT | {"architecture": name}).encode())


def test_settings_of_training_that_contradict_each_other_are_refused() -> None:
    values = {"protocol": "1.0", "federation": "lab", "run": DIGEST[:32], "state": "open"}
    values |= {"round": 1, "architecture": "conv", "model": {"digest": DIGEST, "size": 9}}  # type: ignore[dict-item] # JSON
    values |= {"codecs": ["int8"], "seed": 0, "training": {"epochs": 1, "steps": 1}}  # type: ignore[dict-item] # JSON
    with pytest.raises(ProtocolError, match="not both"):
        Announcement.decode(json.dumps(values).encode())
