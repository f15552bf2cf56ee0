"""Sound whose recording was cut off before its header was made true.

Recorders write a header first and come back at the end to say how much followed: until then it says
0 bytes, or those of the first block. libsndfile believes it and leaves out the rest. So the header
is read with another length: that of a stream, to the end.
"""

from typing import IO, Final, Literal, Protocol

from shared.audio import flac

_HEAD: Final = 1 << 16
"""Bytes within which the sound must begin."""

_RIFF: Final = 12
"""Bytes before a RIFF file's first chunk."""

_CHUNK: Final = 8
"""Bytes of a chunk's name and size."""

_STREAM: Final = b"\xff" * 4
"""The length of what is written to a pipe: nobody knows it."""

Change = tuple[int, bytes]
"""Where a header is read otherwise than it is written, and as what."""


def change_of(file: IO[bytes]) -> Change | None:
    """Say how to read the header of a file that holds much more sound than it says.

    Parameters
    ----------
    file
        At its beginning, and left there.

    Returns
    -------
    Change or None
        None for any other file, one that is truly empty among them.
    """
    head = file.read(_HEAD)
    size = file.seek(0, 2)
    file.seek(0)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:_RIFF] == b"WAVE":
        return _of_wav(file, head, size)
    if total := flac.true_total(file, head):
        return flac.TOTAL.start, total
    begins = int.from_bytes(head[4:8], "big" if head[:4] == b".snd" else "little")
    if head[:4] in (b".snd", b"dns.") and not any(head[8:12]) and begins < size:
        return 8, _STREAM
    return None


class Source(Protocol):
    """What is read on from any place."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """Say where it is."""

    def read(self, count: int, /) -> bytes:
        """Read on."""


class Changed:
    """A file whose header is read otherwise than it is written.

    Parameters
    ----------
    file
        The file.
    change
        What :func:`change_of` says.
    """

    def __init__(self, file: Source, change: Change) -> None:
        self._file = file
        self._place, self._bytes = change

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Say where it is."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """Read on."""
        before = self._place - self._file.tell()
        data = bytearray(self._file.read(count))
        for place, byte in enumerate(self._bytes, before):
            if 0 <= place < len(data):
                data[place] = byte
        return bytes(data)


def _of_wav(file: IO[bytes], head: bytes, size: int) -> Change | None:
    order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
    place, long = _RIFF, -1
    while place + _CHUNK <= len(head):
        name = head[place : place + 4]
        length = int.from_bytes(head[place + 4 : place + _CHUNK], order)
        if name == b"ds64":  # lengths of 8 bytes: of all, and of the sound
            long = int.from_bytes(head[place + 16 : place + 24], "little")
        if name == b"data":
            break
        place += _CHUNK + length + length % 2
    else:
        return None
    if long == 0 and head[place + 4 : place + _CHUNK] == _STREAM:
        return 0, b"RIFF"
    behind = place + _CHUNK + length + length % 2
    # Less than the sound itself may be what a program has put behind it.
    if size - behind <= length or _is_chunk(file, behind, size, order):
        return None
    return place + 4, _STREAM


def _is_chunk(file: IO[bytes], place: int, size: int, order: Literal["big", "little"]) -> bool:
    """Whether a further chunk, and no sound, lies behind the chunk of the sound."""
    file.seek(place)
    name, length = file.read(4), file.read(4)
    file.seek(0)
    fits = place + _CHUNK + int.from_bytes(length, order) <= size
    return name.isascii() and name.decode().isprintable() and fits
