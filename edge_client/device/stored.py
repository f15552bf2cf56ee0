"""Utterances as the store keeps them, and how they lie in its rows."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.device.stored_utterance import StoredUtterance
from shared.audio import LONGEST
from shared.frames import Frames, padded_length
from shared.task import FrontEndShape, Task, labels_of

INSERT: Final = (
    "INSERT INTO examples (id, heard_at, seconds, source, speaker, probabilities, label, "
    "discarded, checksum, frames, names, front_end, unsure) VALUES (:id, :heard_at, :seconds, "
    ":source, :speaker, :probabilities, :label, :discarded, :checksum, :frames, :names, "
    ":front_end, :unsure)"
)
"""Puts what :func:`row_of` gives into the store, with its number as ``id``, or ``None``: the next
one."""

_YEARS: Final = (1970, 9998)


@dataclass(frozen=True, slots=True)
class Stored:
    """Utterances as they are kept, not normalised.

    Attributes
    ----------
    front_end
        What computed their features.
    names
        What ``labels`` stand for: the labels of the store's task, and others that the person gave
        while it had another one.
    recognitions
        What was recognised and said, the oldest first.
    features
        Shape ``(n, L, features)``, float32; frames after an utterance's end are zero.
    frames
        Shape ``(n,)``, int32: true number of frames of each, 1 to L.
    """

    front_end: FrontEndShape
    names: tuple[str, ...]
    recognitions: tuple[StoredUtterance, ...]
    features: NDArray[np.float32]
    frames: NDArray[np.int32]

    @property
    def labels(self) -> NDArray[np.int32]:
        """Index into ``names`` of what the person said, shape ``(n,)``; -1 for nothing."""
        index = {None: -1} | {name: place for place, name in enumerate(self.names)}
        return np.array([index[known.label] for known in self.recognitions], np.int32)


def encode(frames: Frames) -> bytes:
    """Lay frames out as a row has them: float32, little-endian."""
    return np.ascontiguousarray(frames, "<f4").tobytes()


def row_of(known: StoredUtterance, data: bytes) -> dict[str, Any]:
    """Lay an utterance out as a row, but for its number; ``data`` is what :func:`encode` gave."""
    return {
        "heard_at": known.heard_at.isoformat(),
        "seconds": known.seconds,
        "source": known.source,
        "speaker": known.speaker,
        "probabilities": known.probabilities and json.dumps(known.probabilities),
        "label": known.label,
        "discarded": int(known.discarded),
        "checksum": zlib.crc32(data),
        "frames": data,
        "names": ",".join(known.names),
        "front_end": known.front_end,
        "unsure": int(known.unsure),
    }


def is_whole(row: Mapping[str, Any]) -> bool:
    """Say whether a row's frames are as they were written."""
    data = row["frames"]
    return isinstance(data, bytes) and zlib.crc32(data) == row["checksum"]


def decode(row: Mapping[str, Any], front_end: FrontEndShape) -> Frames | None:
    """Take the frames out of a row; ``None`` if a byte has changed on the disk."""
    if not is_whole(row) or len(row["frames"]) % (4 * front_end.features):
        return None
    return np.frombuffer(row["frames"], "<f4").reshape(-1, front_end.features)[: front_end.frames]


def recognition_of(row: Mapping[str, Any]) -> StoredUtterance:
    """Read all of a row but its frames."""
    probabilities = row["probabilities"]
    return StoredUtterance(
        identifier=row["id"],
        heard_at=datetime.fromisoformat(row["heard_at"]),
        seconds=row["seconds"],
        probabilities=None if probabilities is None else tuple(json.loads(probabilities)),
        names=tuple(row["names"].split(",")),
        front_end=row["front_end"],
        label=row["label"],
        discarded=bool(row["discarded"]),
        source=row["source"],
        speaker=row["speaker"],
        unsure=bool(row["unsure"]),
    )


def plausible(row: Mapping[str, Any]) -> bool:
    """Tell whether the row of a damaged file still says what a row says."""
    try:
        known = recognition_of(row)
        check(known)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return False
    return not known.discarded


def check(known: StoredUtterance) -> None:
    """Raise :class:`ValueError` unless this can be what was once heard."""
    # Any zone's clock can show these years.
    if known.heard_at.tzinfo is None or not _YEARS[0] <= known.heard_at.year <= _YEARS[1]:
        raise ValueError(f"{known.heard_at} is not a time with a time zone")
    if not 0 < known.seconds <= LONGEST:
        raise ValueError(f"an utterance lasts {known.seconds} s")
    shares = known.probabilities
    if shares is not None and (
        len(shares) != len(known.names) or not all(0 <= share <= 1 for share in shares)
    ):
        raise ValueError("a probability is out of range")
    check_names([*known.names, *filter(None, [known.label])])


def check_names(names: Sequence[str]) -> None:
    """Raise :class:`ValueError` unless these can be names of labels."""
    for name, label in zip(names, labels_of(names), strict=True):
        if name != label.name:
            raise ValueError(f"{name!r} is not a valid name for a label")


def stacked(
    found: Iterable[tuple[StoredUtterance, Frames]], task: Task, most: int, longest: int
) -> Stored:
    """Put utterances of a task's front end together.

    Parameters
    ----------
    found
        The utterances.
    task
        Whose labels come first.
    most
        How many there are at most.
    longest
        How many frames the longest has at most.
    """
    known: list[StoredUtterance] = []
    shape = (most, padded_length(longest, task.front_end), task.front_end.features)
    features, frames = np.zeros(shape, np.float32), np.zeros(most, np.int32)
    for place, (recognition, own) in enumerate(found):
        known.append(recognition)
        features[place, : len(own)], frames[place] = own, len(own)
    others = dict.fromkeys(one.label for one in known if one.label)
    names = tuple(dict.fromkeys([*task.names, *others]))
    return Stored(task.front_end, names, tuple(known), features[: len(known)], frames[: len(known)])
