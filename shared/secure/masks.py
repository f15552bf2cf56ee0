"""Masks: vectors of integers modulo 2^b that look random to whoever lacks their 32-byte key."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK: Final = 1 << 16
"""Values packed at a time: a multiple of 8, so that each block ends with a whole byte."""

Numbers = NDArray[np.uint32]
"""Integers modulo 2^b, each below 2^b."""


def keystream(key: bytes, count: int, nonce: bytes = bytes(16)) -> bytes:
    """Give the first bytes of a ChaCha20 keystream (RFC 8439, section 2.4).

    Parameters
    ----------
    key
        32 bytes. Each key is used for one mask, so the nonce may be the same for all.
    count
        Bytes to give.
    nonce
        The block counter (4 bytes, little-endian) and the nonce (12 bytes).
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    return Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(count))


def mask_of(key: bytes, length: int, bits: int) -> NDArray[np.unsignedinteger[Any]]:
    """Make the mask of a key: the keystream's words, of which the low ``bits`` count.

    They are added and subtracted as they are: 2^bits divides 2^32, so :func:`reduced` at the end
    gives the same as at each step.

    Parameters
    ----------
    key
        32 bytes.
    length
        Values of the mask.
    bits
        The b of modulo 2^b, 1 to 32.

    Returns
    -------
    numpy.ndarray of uint8, uint16 or uint32, shape (length,)
        The smallest of these that has so many bits, little-endian.
    """
    word = next(np.dtype(f"<u{size}") for size in (1, 2, 4) if 8 * size >= bits)
    return np.frombuffer(keystream(key, length * word.itemsize), word)


def reduced(values: Numbers, bits: int) -> Numbers:
    """Take values modulo 2^bits, in place."""
    values &= np.uint32((1 << bits) - 1)
    return values


def packed(values: Numbers, bits: int) -> bytes:
    """Write each value with so many bits, the lowest first, one value behind the other."""
    blocks = (values[at : at + _BLOCK] for at in range(0, len(values), _BLOCK))
    return b"".join(_packed_block(block, bits) for block in blocks)


def unpacked(data: bytes, length: int, bits: int) -> Numbers:
    """Read values that :func:`packed` has written.

    Raises
    ------
    ValueError
        If there are more or fewer bytes than the values take, or a bit is set behind the last.
    """
    if len(data) != packed_size(length, bits):
        raise ValueError(f"{packed_size(length, bits)} bytes are expected, not {len(data)}")
    if data and data[-1] >> ((length * bits - 1) % 8 + 1):
        raise ValueError("a bit is set behind the last value")
    values = np.empty(length, np.uint32)
    view = memoryview(data)
    for at in range(0, length, _BLOCK):
        block = values[at : at + _BLOCK]
        begin = packed_size(at, bits)
        piece = view[begin : begin + packed_size(len(block), bits)]
        digits = np.zeros((len(block), 32), np.uint8)
        digits[:, :bits] = np.unpackbits(
            np.frombuffer(piece, np.uint8), count=len(block) * bits, bitorder="little"
        ).reshape(-1, bits)
        block[:] = np.packbits(digits, axis=1, bitorder="little").view("<u4").ravel()
    return values


def packed_size(length: int, bits: int) -> int:
    """Give the bytes that so many values take."""
    return -(-length * bits // 8)


def _packed_block(values: Numbers, bits: int) -> bytes:
    digits = np.unpackbits(
        values.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little"
    )
    return np.packbits(digits[:, :bits].ravel(), bitorder="little").tobytes()
