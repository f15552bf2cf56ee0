"""Packets of MQTT: what is written is read, and nothing else does harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.broker.packets import (
    Kind,
    MalformedPacketError,
    Message,
    decode_connect,
    decode_filters,
    decode_publish,
    encode,
    matches,
    take,
)
from tests.aggregator.broker.wire import connect, subscribe

TOPICS = st.text("abc/ü", min_size=1, max_size=20)


@given(
    topic=TOPICS,
    payload=st.binary(max_size=300),
    qos=st.integers(0, 1),
    retain=st.booleans(),
    number=st.integers(1, 65_535),
)
def test_a_message_comes_back_as_it_was_written(
    *, topic: str, payload: bytes, qos: int, retain: bool, number: int
) -> None:
    message = Message(topic, payload, qos, retain)
    buffer = bytearray(message.encode(qos, number, retain=retain)) + b"rest"
    packet = take(buffer, 400)
    assert packet
    assert packet.kind == Kind.PUBLISH
    assert decode_publish(packet.flags, packet.body) == (message, number if qos else 0)
    assert buffer == b"rest"


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_at_their_edges(length: int) -> None:
    whole = encode(Kind.PUBLISH, bytes(length))
    buffer = bytearray(whole[:-1])
    assert take(buffer, length) is None
    buffer += whole[-1:]
    packet = take(buffer, length)
    assert packet
    assert len(packet.body) == length
    assert not buffer
    with pytest.raises(MalformedPacketError):
        take(bytearray(whole[:5]), length - 1)


def test_a_connect_says_who_and_what_is_to_be_said_at_its_end() -> None:
    packet = take(bytearray(connect("name", 7, will=("t", b"gone"))), 100)
    assert packet
    read = decode_connect(packet.body)
    assert (read.identifier, read.keepalive) == ("name", 7)
    assert read.will == Message("t", b"gone", 0, retain=False)


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("+/+", "/", True),
        ("+", "a/b", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("a/+/#", "a", False),
    ],
)
def test_filters(pattern: str, topic: str, *, fits: bool) -> None:
    assert matches(pattern.split("/"), topic.split("/")) == fits


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x10\x20", b"\x32\x10", b"\x82\x10"]))
def test_any_bytes_are_read_or_refused(data: bytes, begin: bytes) -> None:
    buffer = bytearray(begin + data)
    try:
        while packet := take(buffer, 100):
            match packet.kind:
                case Kind.CONNECT:
                    decode_connect(packet.body)
                case Kind.PUBLISH:
                    decode_publish(packet.flags, packet.body)
                case Kind.SUBSCRIBE | Kind.UNSUBSCRIBE:
                    decode_filters(packet.body, qualities=packet.kind == Kind.SUBSCRIBE)
    except MalformedPacketError:
        return
    assert len(buffer) <= 200


def test_a_subscribe_names_its_filters_once() -> None:
    packet = take(bytearray(subscribe("a", "b/#", "a")), 100)
    assert packet
    assert decode_filters(packet.body, qualities=True) == (1, {"a": 1, "b/#": 1})
