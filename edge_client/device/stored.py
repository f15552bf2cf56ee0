"""Utterances as the store keeps them, and how they lie in its rows."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.device.stored_utterance import StoredUtterance
from shared.architectures import FEATURES, FRAMES
from shared.audio import LONGEST
from shared.emotions import EMOTIONS
from shared.features import Frames

_YEARS: Final = (1970, 9998)


@dataclass(frozen=True, slots=True)
class Stored:
    """Utterances as they are kept, not normalised.

    Attributes
    ----------
    recognitions
        What was recognised and said, the oldest first.
    features
        Shape ``(n, 100, 34)``, float32; frames after an utterance's end are zero.
    frames
        Shape ``(n,)``, int32: true number of frames of each, 1 to 100.
    """

    recognitions: tuple[StoredUtterance, ...]
    features: NDArray[np.float32]
    frames: NDArray[np.int32]

    @property
    def labels(self) -> NDArray[np.int32]:
        """Index into ``EMOTIONS`` of what the person said, shape ``(n,)``; -1 for nothing."""
        index = {None: -1} | {emotion: i for i, emotion in enumerate(EMOTIONS)}
        return np.array([index[known.label] for known in self.recognitions], np.int32)


def encode(frames: Frames) -> bytes:
    """Lay frames out as a row has them: float32, little-endian."""
    return np.ascontiguousarray(frames, "<f4").tobytes()


def decode(checksum: int, data: bytes) -> Frames | None:
    """Take the frames out of a row; ``None`` if a byte has changed on the disk."""
    if not isinstance(data, bytes) or zlib.crc32(data) != checksum or len(data) % (4 * FEATURES):
        return None
    return np.frombuffer(data, "<f4").reshape(-1, FEATURES)[:FRAMES]


def recognition_of(row: tuple[Any, ...]) -> StoredUtterance:
    """Read the first eight columns of a row."""
    identifier, heard_at, seconds, source, speaker, probabilities, label, discarded = row[:8]
    return StoredUtterance(
        identifier=identifier,
        heard_at=datetime.fromisoformat(heard_at),
        seconds=seconds,
        probabilities=None if probabilities is None else tuple(json.loads(probabilities)),
        label=label,
        discarded=bool(discarded),
        source=source,
        speaker=speaker,
    )


def plausible(row: tuple[Any, ...]) -> bool:
    """Tell whether the row of a damaged file still says what a row says."""
    try:
        known = recognition_of(row)
        check(known)
    except (TypeError, ValueError, OverflowError):
        return False
    return not known.discarded


def check(known: StoredUtterance) -> None:
    """Raise :class:`ValueError` unless this can be what was once heard."""
    # Any zone's clock can show these years.
    if known.heard_at.tzinfo is None or not _YEARS[0] <= known.heard_at.year <= _YEARS[1]:
        raise ValueError(f"{known.heard_at} is no time with a time zone")
    if not 0 < known.seconds <= LONGEST:
        raise ValueError(f"an utterance lasts {known.seconds} s")
    shares = known.probabilities
    if shares is not None and (
        len(shares) != len(EMOTIONS) or not all(0 <= share <= 1 for share in shares)
    ):
        raise ValueError("a probability is out of range")
    if known.label not in (None, *EMOTIONS):
        raise ValueError(f"{known.label!r} is no emotion")


def stacked(found: Iterable[tuple[StoredUtterance, Frames]], most: int) -> Stored:
    """Put utterances together, at most so many."""
    known: list[StoredUtterance] = []
    features, frames = np.zeros((most, FRAMES, FEATURES), np.float32), np.zeros(most, np.int32)
    for place, (recognition, own) in enumerate(found):
        known.append(recognition)
        features[place, : len(own)], frames[place] = own, len(own)
    return Stored(tuple(known), features[: len(known)], frames[: len(known)])
