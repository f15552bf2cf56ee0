"""Chunks of files: a binary frame with its place and a checksum.

A frame is, in network byte order: the magic ``CHRS``, the protocol's major version (1 byte), three
zero bytes, the SHA-256 of the whole file (32 bytes), the offset in the file (8 bytes), a sequence
number (4 bytes, 0 in uploads), the CRC-32 of everything before it and of the payload (4 bytes),
and the payload.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from shared.errors import ProtocolError
from shared.protocol.fields import LARGEST_FILE
from shared.protocol.messages import MAJOR

_HEAD: Final = struct.Struct(">4sB3x32sQI")
_CHECKSUM: Final = struct.Struct(">I")
_MAGIC: Final = b"CHRS"

OVERHEAD: Final = _HEAD.size + _CHECKSUM.size
"""Bytes of a frame besides its payload."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file.

    Attributes
    ----------
    digest
        SHA-256 of the whole file, in hexadecimal.
    offset
        Where the piece begins.
    payload
        Its bytes, at least one.
    sequence
        Counts the chunks published of a model; 0 in uploads.
    """

    digest: str
    offset: int
    payload: bytes | memoryview
    sequence: int = 0

    @property
    def end(self) -> int:
        """Where the piece ends."""
        return self.offset + len(self.payload)

    def is_whole(self, chunk: int, size: int) -> bool:
        """Say whether it is a whole chunk of so many bytes, or the last one, of a file.

        Parameters
        ----------
        chunk
            Bytes of a chunk, as announced.
        size
            Bytes of the file.
        """
        return self.offset % chunk == 0 and len(self.payload) == min(chunk, size - self.offset)

    def encode(self) -> bytes:
        """Write the frame."""
        head = _HEAD.pack(_MAGIC, MAJOR, bytes.fromhex(self.digest), self.offset, self.sequence)
        checksum = zlib.crc32(self.payload, zlib.crc32(head))
        return b"".join((head, _CHECKSUM.pack(checksum), self.payload))

    @classmethod
    def decode(cls, frame: bytes) -> "Chunk":
        """Read a frame; its payload is a view of it.

        Raises
        ------
        ProtocolError
            If it is not a whole frame of this version, or was damaged on its way.
        """
        if len(frame) <= OVERHEAD or not frame.startswith(_MAGIC):
            raise ProtocolError("A chunk is not a frame of this protocol.")
        _, major, digest, offset, sequence = _HEAD.unpack_from(frame)
        if major != MAJOR:
            raise ProtocolError(f"A chunk is of protocol {major}, this one speaks {MAJOR}.")
        view = memoryview(frame)
        payload = view[OVERHEAD:]
        if offset + len(payload) > LARGEST_FILE:
            raise ProtocolError("A chunk lies beyond the largest file.")
        (checksum,) = _CHECKSUM.unpack_from(frame, _HEAD.size)
        if zlib.crc32(payload, zlib.crc32(view[: _HEAD.size])) != checksum:
            raise ProtocolError("A chunk was damaged on its way.")
        return cls(digest.hex(), offset, payload, sequence)
