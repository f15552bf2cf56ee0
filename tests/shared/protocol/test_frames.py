"""Chunks of files as frames."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.protocol.fields import LARGEST_FILE
from shared.protocol.frames import OVERHEAD, Chunk

DIGEST = "ab" * 32

chunks = st.builds(
    Chunk,
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    offset=st.integers(0, LARGEST_FILE - 200),
    payload=st.binary(min_size=1, max_size=200),
    sequence=st.integers(0, (1 << 32) - 1),
)


@given(chunks)
def test_a_chunk_comes_back(chunk: Chunk) -> None:
    frame = chunk.encode()
    assert len(frame) == OVERHEAD + len(chunk.payload)
    assert Chunk.decode(frame) == chunk
    assert chunk.end == chunk.offset + len(chunk.payload)


def test_the_frame_is_as_documented() -> None:
    frame = Chunk(DIGEST, 0x0102030405, b"hello", 7).encode()
    head = b"CHRS" + b"\1\0\0\0" + b"\xab" * 32 + struct.pack(">QI", 0x0102030405, 7)
    assert frame == head + struct.pack(">I", zlib.crc32(head + b"hello")) + b"hello"


def test_the_payload_is_not_copied() -> None:
    frame = Chunk(DIGEST, 0, bytes(1000)).encode()
    payload = Chunk.decode(frame).payload
    assert isinstance(payload, memoryview)
    assert payload.obj is frame


@given(chunks, st.data())
@settings(max_examples=300)
def test_any_flipped_bit_is_found(chunk: Chunk, data: st.DataObject) -> None:
    frame = bytearray(chunk.encode())
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolError):
        Chunk.decode(bytes(frame))


@given(chunks, st.data())
def test_a_frame_that_is_not_whole_is_found(chunk: Chunk, data: st.DataObject) -> None:
    frame = chunk.encode()
    for wrong in (frame[: data.draw(st.integers(0, len(frame) - 1))], frame + b"\0"):
        with pytest.raises(ProtocolError):
            Chunk.decode(wrong)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda rest: b"CHRS\1" + rest))
def test_any_bytes_are_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        Chunk.decode(frame)


def signed(head: bytes, payload: bytes) -> bytes:
    return head + struct.pack(">I", zlib.crc32(head + payload)) + payload


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (signed(b"CHRS\2\0\0\0" + bytes(44), b"x"), "of protocol 2, this one speaks 1"),
        (signed(b"CHRS\1\0\0\0" + bytes(44), b""), "not a frame"),
        (
            signed(b"CHRS\1\0\0\0" + bytes(32) + struct.pack(">QI", LARGEST_FILE, 0), b"x"),
            "beyond the largest file",
        ),
        (
            signed(b"CHRS\1\0\0\0" + bytes(32) + struct.pack(">QI", (1 << 64) - 1, 0), b"x"),
            "beyond the largest file",
        ),
        (signed(b"chrs\1\0\0\0" + bytes(44), b"x"), "not a frame"),
    ],
)
def test_what_is_wrong_is_said(frame: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        Chunk.decode(frame)


def test_the_last_byte_of_the_largest_file_fits() -> None:
    chunk = Chunk(DIGEST, LARGEST_FILE - 1, b"x")
    assert Chunk.decode(chunk.encode()) == chunk
