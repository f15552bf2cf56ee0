"""Utterances as the store keeps them, and how they lie in its rows."""

import json
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_client.device.recognition import Recognition
from shared.architectures import FEATURES, FRAMES
from shared.emotions import EMOTIONS
from shared.features import Frames, pad


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

    recognitions: tuple[Recognition, ...]
    features: NDArray[np.float32]
    frames: NDArray[np.int32]

    @property
    def labels(self) -> NDArray[np.int32]:
        """Index into ``EMOTIONS`` of what the person said, shape ``(n,)``; -1 for nothing."""
        index = {None: -1} | {emotion: i for i, emotion in enumerate(EMOTIONS)}
        return np.array([index[known.label] for known in self.recognitions], np.int32)

    @property
    def ids(self) -> NDArray[np.int64]:
        """Number of each in the store, shape ``(n,)``."""
        return np.array([known.identifier for known in self.recognitions], np.int64)


def encode(frames: Frames) -> bytes:
    """Lay frames out as a row has them: float32, little-endian."""
    return np.ascontiguousarray(frames, "<f4").tobytes()


def decode(checksum: int, data: bytes) -> Frames | None:
    """Take the frames out of a row; ``None`` if a byte has changed on the disk."""
    if not isinstance(data, bytes) or zlib.crc32(data) != checksum or len(data) % (4 * FEATURES):
        return None
    return np.frombuffer(data, "<f4").reshape(-1, FEATURES)[:FRAMES]


def recognition_of(row: tuple[Any, ...]) -> Recognition:
    """Read the first eight columns of a row."""
    identifier, heard_at, seconds, source, speaker, probabilities, label, discarded = row[:8]
    return Recognition(
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
    except (TypeError, ValueError):
        return False
    return known.label in (None, *EMOTIONS) and not known.discarded


def stacked(found: list[tuple[Recognition, Frames]]) -> Stored:
    """Put utterances together."""
    frames = [own for _, own in found]
    return Stored(
        tuple(known for known, _ in found),
        np.stack([pad(own) for own in frames]) if frames else np.empty((0, FRAMES, FEATURES), "f4"),
        np.array([len(own) for own in frames], np.int32),
    )


def guesses(stored: Stored, least: float) -> Stored:
    """Give the utterances the model is sure of, with its own answer in the place of a label."""
    where = [
        i
        for i, known in enumerate(stored.recognitions)
        if max(known.probabilities or (0,)) >= least
    ]
    return Stored(
        tuple(
            replace(known, label=known.emotion)
            for known in map(stored.recognitions.__getitem__, where)
        ),
        stored.features[where],
        stored.frames[where],
    )
