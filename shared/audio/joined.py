"""Files of several sounds, one behind the other: ``cat``, or a radio station, has made them.

libsndfile reads the first, to the length that its own header says, and knows of no other.
"""

import re
from typing import IO, Final

PAGE_HEAD: Final = 27
"""Bytes of an Ogg page before its table of segments (RFC 3533, section 6)."""

_LAST_PAGE: Final = 1 << 17
"""Bytes at the end of an Ogg file in which its last page begins: a page is smaller than half."""

_BEGINNING: Final = re.compile(rb"OggS\0[\2\3\6\7]")
"""Of the page that a stream begins with, which its flags say."""

_PAGE_MARK: Final = 5
"""Bytes of that without the last."""

_AT_ONCE: Final = 1 << 20
"""Bytes that are looked through at once."""

_MP3_HEAD: Final = 64
"""The first frame's header, side information and, if there is one, the mark of its length."""

_MOST_STREAMS: Final = 64
"""Streams side by side in an Ogg file that are believed; each has a page that it begins with."""

_ID3_HEAD: Final = 10

_OLD_TAG: Final = 128
"""Bytes of a tag behind the sound (ID3v1)."""

_MARK: Final = re.compile(rb"(?:Xing|Info)\0\0\0(.)", re.DOTALL)
"""Of an MP3's length, and which of frames (1) and bytes (2) follow."""


def goes_on(file: IO[bytes]) -> bool:
    """Say whether another MP3 or Ogg begins behind the first; the file is left at its beginning."""
    head = file.read(4)
    found = _goes_on_as_ogg(file) if head == b"OggS" else _goes_on_as_mp3(file)
    file.seek(0)
    return found


def behind_tag(file: IO[bytes], place: int = 0) -> int:
    """Give the place behind a tag (ID3v2) that begins at a place, if one does."""
    file.seek(place)
    head = file.read(_ID3_HEAD)
    if head[:3] != b"ID3":
        return place
    # Its length is in four bytes of seven bits.
    return place + _ID3_HEAD + sum(byte << 7 * n for n, byte in enumerate(head[:5:-1]))


def mp3_frame(file: IO[bytes], place: int) -> bytes:
    """Read the head of an MP3's frame; empty if there is none at a place."""
    file.seek(place)
    head = file.read(_MP3_HEAD)
    return head if head[:1] == b"\xff" and head[1:2] >= b"\xe0" else b""


def last_page(file: IO[bytes]) -> bytes:
    """Read on from where the last page of an Ogg file begins."""
    file.seek(max(0, file.seek(0, 2) - _LAST_PAGE))
    end = file.read()
    return end[max(0, end.rfind(b"OggS")) :]


def _goes_on_as_mp3(file: IO[bytes]) -> bool:
    """Whether a tag or a mark of length stands where, by its own mark, the first MP3 ends."""
    begin = behind_tag(file)
    head = mp3_frame(file, begin)
    mark = _MARK.search(head)
    if mark is None or not mark[1][0] & 2:
        return False
    place = mark.end() + 4 * (mark[1][0] & 1)
    end = begin + int.from_bytes(head[place : place + 4], "big")
    file.seek(end)
    if file.read(3) == b"TAG":
        end += _OLD_TAG
    frame = mp3_frame(file, behind := behind_tag(file, end))
    return bool(frame) and (behind > end or _MARK.search(frame) is not None)


def _goes_on_as_ogg(file: IO[bytes]) -> bool:
    """Whether a stream begins behind others, whatever its number: all of a sound begin together."""
    place = 0
    for _ in range(_MOST_STREAMS):
        file.seek(place)
        head = file.read(PAGE_HEAD)
        if len(head) < PAGE_HEAD or not _BEGINNING.match(head):
            break
        place += PAGE_HEAD + head[-1] + sum(file.read(head[-1]))
    file.seek(place)
    seen = b""
    while piece := file.read(_AT_ONCE):
        if _BEGINNING.search(seen := seen[-_PAGE_MARK:] + piece):
            return True
    return False
