"""Examples in a file: everything but the sound, as NumPy arrays."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.device.stored import Stored, check
from edge_client.device.stored_utterance import StoredUtterance
from shared.architectures import FEATURES, FRAMES
from shared.emotions import EMOTIONS
from shared.errors import CorpusError
from shared.files import replacing

_ROW: Final = 256
_FRAME: Final = 8192
"""Bytes of an example besides its features and its speaker, and of the file besides these."""


def write(path: Path, stored: Stored) -> None:
    """Write examples to an ``.npz`` that only its owner can read.

    It holds ``features`` (n, 100, 34) float32, not normalised, ``frames`` and ``labels`` (n,)
    int32 (-1: not labelled), ``probabilities`` (n, 4) float64 (NaN: there was no model),
    ``seconds``, ``heard_at`` (ISO 8601), ``speakers``, ``emotions`` (what the labels stand for).

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    known = stored.recognitions
    unknown = (np.nan,) * len(EMOTIONS)
    with replacing(path, 0o600) as aside, aside.open("wb") as file:
        # A full disk is noticed here: NumPy would go on writing to it when it tidies up.
        os.posix_fallocate(file.fileno(), 0, _size(stored))
        np.savez(
            file,
            features=stored.features,
            frames=stored.frames,
            labels=stored.labels,
            probabilities=np.array([one.probabilities or unknown for one in known]).reshape(-1, 4),
            seconds=np.array([one.seconds for one in known], np.float64),
            heard_at=np.array([one.heard_at.isoformat() for one in known], np.str_),
            speakers=np.array([one.speaker or "" for one in known], np.str_),
            emotions=np.array(EMOTIONS),
        )
        file.truncate()


def _size(stored: Stored) -> int:
    """Give the bytes that the file takes, or some more."""
    each = max((len(one.speaker or "") for one in stored.recognitions), default=0)
    return stored.features.nbytes + len(stored.frames) * (_ROW + 4 * each) + _FRAME


def read(path: Path) -> Stored:
    """Read what :func:`write` wrote; nothing in it is run.

    Raises
    ------
    CorpusError
        If the file is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = _checked(dict(arrays))
    except FileNotFoundError as error:
        raise CorpusError(f"There is no file {path}.") from error
    except Exception as error:  # NumPy and zipfile raise whatever comes of a damaged file
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise CorpusError(
            f"{path} does not hold examples: {reason}.",
            "Give a file of `edge-client examples export`.",
        ) from error
    return stored


def _checked(arrays: dict[str, NDArray[Any]]) -> Stored:
    features, frames, labels = (arrays[name] for name in ("features", "frames", "labels"))
    count = len(features)
    if features.shape != (count, FRAMES, FEATURES) or features.dtype != np.float32:
        raise ValueError(f"its features are {features.dtype} {features.shape}")
    if frames.shape != (count,) or labels.shape != (count,):
        raise ValueError("its parts are not of the same length")
    if frames.dtype.kind != "i" or labels.dtype.kind != "i":
        raise ValueError("its labels or numbers of frames are no integers")
    if count and not (
        np.isfinite(features).all()
        and frames.min() >= 1
        and frames.max() <= FRAMES
        and labels.min() >= -1
        and labels.max() < len(EMOTIONS)
    ):
        raise ValueError("a value is out of range")
    if tuple(arrays["emotions"].tolist()) != EMOTIONS:
        raise ValueError("its labels stand for other emotions")
    probabilities = arrays["probabilities"].reshape(count, len(EMOTIONS)).astype(np.float64)
    told = arrays["heard_at"], arrays["seconds"], arrays["speakers"]
    rows = zip(labels.tolist(), probabilities, *told, strict=True)
    return Stored(tuple(_recognition(*row) for row in rows), features, frames.astype(np.int32))


def _recognition(
    label: int, shares: NDArray[np.float64], heard_at: object, seconds: float, speaker: object
) -> StoredUtterance:
    known = StoredUtterance(
        identifier=0,
        heard_at=datetime.fromisoformat(str(heard_at)),
        seconds=float(seconds),
        probabilities=None if np.isnan(shares).all() else tuple(shares.tolist()),
        label=None if label < 0 else EMOTIONS[label],
        source="import",
        speaker=str(speaker) or None,
    )
    check(known)
    return known
