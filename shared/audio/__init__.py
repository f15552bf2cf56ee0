"""Sound as every part of the project takes it: 16 kHz, mono, float32.

Files, arrays and the microphone all come through here, so a clip has the same samples on a device
as in a simulation.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import ffmpeg, libsndfile
from shared.audio.decoded import Decoded
from shared.errors import AudioError
from shared.storage.files import open_file

Samples = NDArray[np.float32]
"""An utterance: shape ``(samples,)``, float32 in [-1, 1], at :data:`RATE`."""

RATE: Final = 16_000
"""Samples per second of everything behind this module."""

LONGEST: Final = 600
"""Seconds of sound a clip may hold. Memory is bounded by it: about 120 MB for such a clip."""

SLOWEST: Final = 4_000
FASTEST: Final = 384_000
"""Sampling rates beyond these are taken for a damaged header."""

SUFFIXES: Final = ffmpeg.SUFFIXES | {
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus"),
    *(".w64", ".wav"),
}
"""What a file must end in to be taken for a clip when a folder is searched."""

_TYPES: Final = frozenset(
    ("float16", "float32", "float64", "int8", "int16", "int32", "uint8", "uint16", "uint32")
)

BLOCK: Final = 1 << 14
"""Values of a clip decoded at once, over all channels: 64 KB, as each block's memory is cleared,
whatever comes into it. The samples of a clip do not depend on it."""


def read_clip(path: Path) -> Samples:
    """Read a clip of any rate, format and number of channels.

    Channels are averaged, the sound is resampled to 16 kHz, and a clip that goes beyond full scale
    is scaled down to it (not clipped). It is decoded in blocks: only its 16 kHz form is ever
    whole in memory.

    Parameters
    ----------
    path
        A file in any format that libsndfile reads, whatever its name ends in; or one that ffmpeg
        reads and whose name ends in one of :data:`shared.audio.ffmpeg.SUFFIXES`.

    Returns
    -------
    Samples
        Shape ``(samples,)``, float32 in [-1, 1], at 16 kHz. All of the clip, however short.

    Raises
    ------
    AudioError
        If the file is missing, not audio, damaged, empty, longer than 10 minutes, or holds values
        that are not finite; or if it needs ffmpeg, and that is not there. The sentence names the
        file.
    """
    name = f"The clip {path}"
    with decoding(path) as decoded:
        rate = decoded.rate
        # What it says it lasts may be wrong, or missing: so it is counted, too.
        _check(name, max(1, round(decoded.seconds * rate)), rate)

        def counted() -> Iterator[NDArray[np.float32]]:
            count = 0
            for block in decoded.blocks:
                count += len(block)
                _check(name, count, rate)
                yield block
            _check(name, count, rate)

        return _finished(name, _gathered(counted(), rate))


@contextmanager
def decoding(path: Path, length: int = BLOCK, what: str = "clip") -> Iterator[Decoded]:
    """Open a file of sound: every way from a file to features begins here.

    Parameters
    ----------
    path
        As in :func:`read_clip`.
    length
        Values of a block, over all channels; ffmpeg's blocks are smaller than 64 KB.
    what
        What the file is to the user: a clip, a recording.

    Raises
    ------
    AudioError
        If it is missing, is no file, cannot be read, or claims a rate that no sound has.
    """
    check_is_file(path, what)
    by_ffmpeg = path.suffix.lower() in ffmpeg.SUFFIXES
    opened = ffmpeg.decoding(path, what) if by_ffmpeg else libsndfile.decoding(path, length, what)
    with ExitStack() as stack:
        with _readable(path, what):
            decoded = stack.enter_context(opened)
        # Of a second at 1 Hz the resampler would make hours.
        _check_rate(f"The {what} {path}", decoded.rate)
        yield replace(decoded, blocks=_read(decoded.blocks, path, what))


def _read(blocks: Iterator[NDArray[Any]], path: Path, what: str) -> Iterator[NDArray[Any]]:
    """Give blocks; the disk may fail at any of them."""
    while True:
        with _readable(path, what):
            block = next(blocks, None)
        if block is None:
            return
        yield block


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Turn what the system says of a file that cannot be read into our error."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise AudioError(f"There is no {what} {path}.", "Check the name.") from error
    except OSError as error:
        raise AudioError(
            f"The {what} {path} cannot be read: {error.strerror}.", "Give a file of sound."
        ) from error


def check_is_file(path: Path, what: str) -> None:
    """Raise :class:`AudioError` unless a file can be opened: a pipe would be waited for.

    Parameters
    ----------
    path
        The file.
    what
        What it should be: a clip, a recording.
    """
    try:
        with _readable(path, what):
            open_file(path).close()
    except ValueError as error:
        raise AudioError(f"There is no {what} {path}.", "Check the name.") from error


def to_utterance(samples: NDArray[Any], rate: float) -> Samples:
    """Bring sound that is already in memory to 16 kHz mono float32.

    The same samples come out as from :func:`read_clip` of a file that holds them.

    Parameters
    ----------
    samples
        Shape ``(samples,)`` or ``(samples, channels)``. Floating point with full scale at 1, or
        integers of 8 to 32 bits, which are scaled by their type's range.
    rate
        Its sampling rate in Hz.

    Returns
    -------
    Samples
        Shape ``(samples,)``, float32 in [-1, 1], at 16 kHz; a copy.

    Raises
    ------
    AudioError
        If it is empty, longer than 10 minutes, of another type or shape, or not finite.
    """
    name = "The sound"
    if samples.ndim not in (1, 2):
        raise AudioError(f"{name} has {samples.ndim} axes; it needs one, or one and channels.")
    if samples.dtype.name not in _TYPES:
        raise AudioError(
            f"{name} has values of type {samples.dtype}.", "Convert it to float32 or int16."
        )
    _check(name, samples.size and len(samples), rate)
    return _finished(name, _gathered([_full_scale_one(samples)], rate))


class Resampler:
    """Brings sound to 16 kHz, piece by piece.

    It is let go of at the end of the process whoever still has it, such as a microphone at Ctrl-C:
    else soxr complains in twenty lines of something that has leaked.

    Parameters
    ----------
    rate
        Sampling rate of what comes, in Hz.
    """

    def __init__(self, rate: float) -> None:
        import soxr

        self._held = [soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ")]
        weakref.finalize(self, self._held.clear)

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> Samples:
        """Take what has come, and give what can be said of it already.

        Parameters
        ----------
        samples
            Shape ``(n,)``, float32.
        last
            That it is all: the rest comes out too.

        Returns
        -------
        Samples
            Shape ``(m,)``, float32, 16 kHz.
        """
        (stream,) = self._held
        resampled: Samples = stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        return resampled


def _check(name: str, count: int, rate: float) -> None:
    if not count:
        raise AudioError(f"{name} is empty.")
    _check_rate(name, rate)
    if count > LONGEST * rate:
        raise AudioError(
            f"{name} lasts {count / rate:.0f} s, more than {LONGEST} s.",
            "Cut it into utterances.",
        )


def _check_rate(name: str, rate: float) -> None:
    if not SLOWEST <= rate <= FASTEST:
        raise AudioError(
            f"{name} claims {rate:g} samples per second.",
            f"Give one of {SLOWEST} to {FASTEST} Hz.",
        )


def _full_scale_one(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # too large for float32 is not finite, and found as such
            return samples.astype(np.float32)
    half = 1 << (samples.dtype.itemsize * 8 - 1)
    middle = half if samples.dtype.kind == "u" else 0
    return ((samples.astype(np.float64) - middle) / half).astype(np.float32)


def _gathered(blocks: Iterable[NDArray[np.float32]], rate: float) -> Samples:
    """Make one mono clip at 16 kHz from blocks of one or more channels."""
    with np.errstate(invalid="ignore", over="ignore"):
        mono = (block if block.ndim == 1 else block.mean(axis=1) for block in blocks)
        return np.concatenate(list(mono if rate == RATE else _resampled(mono, rate)))


def _resampled(blocks: Iterable[Samples], rate: float) -> Iterator[Samples]:
    resampler = Resampler(rate)
    for block in blocks:
        yield resampler.feed(block)
    yield resampler.feed(np.empty(0, np.float32), last=True)


def _finished(name: str, samples: Samples) -> Samples:
    if not len(samples):
        raise AudioError(f"{name} is empty.")
    peak = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(peak):
        raise AudioError(
            f"{name} holds values that are not finite.", "Record it again, or convert it anew."
        )
    return samples / np.float32(peak) if peak > 1 else samples
