"""How far a FLAC file really goes, whatever its header says: its last frame tells (RFC 9639)."""

import re
from itertools import accumulate, islice
from typing import IO, Final

MARK: Final = b"fLaC"

TOTAL: Final = slice(21, 26)
"""Bytes of STREAMINFO whose last 36 bits say how many samples there are; 0 if nobody knows."""

_UNCOUNTED: Final = 1 << 36
"""So many samples cannot be said."""

_BLOCK: Final = slice(10, 12)
"""Bytes that say of how many samples the largest frame is, and with a fixed size each."""

_TAIL: Final = 1 << 17
"""Bytes at the end in which the last frame is looked for."""

_FRAME: Final = re.compile(rb"(?=\xff[\xf8\xf9]..[^\xff])", re.DOTALL)
"""What a frame begins with; not all that looks so is one."""

_HEADER: Final = 16
"""Bytes of a frame's header at most."""

_SIZES: Final = (0, 192, *(576 << n for n in range(4)), 0, 0, *(256 << n for n in range(8)))
"""Samples of a frame by the number in its header; those of 6 and 7 stand behind it."""

_MOST: Final = 4
"""Of the last places that look like a frame's header by its check, how many are looked at."""


def true_total(file: IO[bytes], head: bytes) -> bytes:
    """Give what :data:`TOTAL` should hold where a file holds more than that says; else nothing.

    Parameters
    ----------
    file
        At any place; it is left at its beginning.
    head
        Its first bytes.
    """
    claimed = int.from_bytes(head[TOTAL], "big")
    if head[:4] != MARK or not claimed % _UNCOUNTED:
        return b""
    file.seek(max(0, file.seek(0, 2) - _TAIL))
    tail = file.read()
    file.seek(0)
    block = int.from_bytes(head[_BLOCK], "big")
    places = [found.start() for found in _FRAME.finditer(tail)]
    ends = ((_end(tail[place:][:_HEADER], block), place) for place in reversed(places))
    frames = ((end, place) for end, place in ends if end)
    for end, place in islice(frames, _MOST):
        beyond = claimed % _UNCOUNTED < end < _UNCOUNTED
        if beyond and not _remainder(tail[place:], 0x8005, 16):
            return (claimed // _UNCOUNTED * _UNCOUNTED + end).to_bytes(5, "big")
    return b""


def _end(frame: bytes, block: int) -> int:
    """Give the sample behind a frame, by its header (section 9.1); 0 if it is none."""
    size, rate, number = frame[2] >> 4, frame[2] & 15, frame[4:]
    # As in UTF-8, the first byte's leading ones say how many bytes there are.
    ones = 8 - (number[0] ^ 0xFF).bit_length()
    length = max(ones, 1)
    of_size = {6: 1, 7: 2}.get(size, 0)
    behind = 4 + length + of_size + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if size == 0 or ones == 1 or len(frame) <= behind or _remainder(frame[: behind + 1], 0x07, 8):
        return 0
    first = number[0] & (0x7F >> ones)
    *_, place = accumulate(
        number[1:length], lambda bits, byte: bits << 6 | byte & 63, initial=first
    )
    if of_size:
        samples = int.from_bytes(number[length : length + of_size], "big") + 1
    else:
        samples = _SIZES[size]
    return place * (1 if frame[1] & 1 else block) + samples


def _remainder(data: bytes, polynomial: int, width: int) -> int:
    """Compute a cyclic redundancy check: zero, if data end with their own."""
    rest, top = 0, 1 << width
    for byte in data:
        rest ^= byte << width - 8
        for _ in range(8):
            rest <<= 1
            if rest & top:
                rest ^= polynomial | top
    return rest
