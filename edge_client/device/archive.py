"""Examples in a file: everything but the sound, as NumPy arrays."""

import json
import math
import os
import zipfile
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from edge_client.device.store import ExampleStore
from edge_client.device.stored import Stored, check, check_names, encode
from edge_client.device.stored_utterance import StoredUtterance
from shared.errors import CorpusError, shown
from shared.front_ends import front_end_of
from shared.storage.array_file import write_arrays
from shared.storage.files import open_file
from shared.task import DEFAULT_TASK, FrontEndShape, front_end_option

_LARGEST: Final = 1 << 30
"""Bytes of an archive when it is unpacked. What is not compressed may be larger."""

_Arrays = dict[str, NDArray[Any]]


def export(store: ExampleStore, path: Path) -> int:
    """Write all that a store keeps of its front end to a file, as :func:`write` does.

    Returns
    -------
    int
        How many utterances.
    """
    stored = store.everything()
    write(path, stored)
    return len(stored.recognitions)


def import_(store: ExampleStore, path: Path) -> int:
    """Take the examples of such a file into a store, but for those that are there already.

    Returns
    -------
    int
        How many were new.

    Raises
    ------
    CorpusError
        If the file holds no examples, or none of this front end.
    SettingsError
        If this program does not have the front end.
    """
    stored = read_for(path, store.task.front_end)
    places = zip(stored.features, stored.frames, strict=True)
    frames = (encode(features[:count]) for features, count in places)
    return store.take(zip(stored.recognitions, frames, strict=True))


def write(path: Path, stored: Stored) -> None:
    """Write examples to an ``.npz`` that only its owner can read.

    It holds ``features`` (n, L, features) float32, not normalised, ``frames`` and ``labels`` (n,)
    int32 (-1: not labelled), ``label_names`` (what the labels stand for), ``probabilities`` (n, k)
    float64 (NaN: there was no model, or fewer labels), ``names`` (n,) (what the probabilities are
    of, separated by commas), ``seconds``, ``heard_at`` (ISO 8601), ``speakers``, and
    ``front_end`` (JSON: name, version and shape of what computed the features).

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    write_arrays(path, arrays_of(stored), 0o600)


def arrays_of(stored: Stored) -> _Arrays:
    """Give the arrays that :func:`write` writes."""
    known = stored.recognitions
    return {
        "features": stored.features,
        "frames": stored.frames,
        "labels": stored.labels,
        "label_names": np.array(stored.names, np.str_),
        "probabilities": _probabilities(stored),
        "names": np.array([",".join(one.names) for one in known], np.str_),
        "seconds": np.array([one.seconds for one in known], np.float64),
        "heard_at": np.array([one.heard_at.isoformat() for one in known], np.str_),
        "speakers": np.array([one.speaker or "" for one in known], np.str_),
        "front_end": np.array(json.dumps(stored.front_end.to_dict())),
    }


def _probabilities(stored: Stored) -> NDArray[np.float64]:
    most = max((len(one.names) for one in stored.recognitions), default=0)
    found = np.full((len(stored.recognitions), most), np.nan)
    for row, one in zip(found, stored.recognitions, strict=True):
        if one.probabilities:
            row[: len(one.probabilities)] = one.probabilities
    return found


def read(path: Path) -> Stored:
    """Read what :func:`write` wrote, also that of earlier versions; nothing in it is run.

    Raises
    ------
    CorpusError
        If the file is missing, damaged, or holds something else.
    """
    try:
        with open_file(path) as file:
            _check_sizes(file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                stored = _checked(_of_this_version(dict(arrays)))
    except FileNotFoundError as error:
        raise CorpusError(f"There is no file {path}.", "Check the name.") from error
    except Exception as error:  # NumPy and zipfile raise whatever comes of a damaged file
        told = getattr(error, "strerror", None) or str(error)
        reason = shown(told.partition("\n")[0].rstrip(".")) or type(error).__name__
        raise CorpusError(
            f"{path} does not hold examples: {reason}.",
            "Give a file of `edge-client examples export`.",
        ) from error
    return stored


def read_for(path: Path, shape: FrontEndShape) -> Stored:
    """Read examples for a store whose features are of this front end.

    Raises
    ------
    CorpusError
        As :func:`read`; and if the features are of another front end, or such as it never gives.
    SettingsError
        If this program does not have the front end.
    """
    stored = read(path)
    if stored.front_end != shape:
        raise CorpusError(
            f"{path} holds features of {stored.front_end}, but this device's are of {shape}.",
            "Give a file of a device with the same front end, or start this device once with "
            f"--front-end {front_end_option(stored.front_end)}.",
        )
    front_end = front_end_of(shape)
    if not front_end.gives(stored.features):
        raise CorpusError(
            f"{path} holds features beyond ±{front_end.largest:g}, which {shape.name} never gives.",
            "Export it again: it is damaged, or made elsewhere.",
        )
    return stored


def _check_sizes(file: FileIO) -> None:
    """Raise unless the parts are as large as they say, and all together not too large.

    Only headers are read. What a part says it holds is what zipfile gives of it at most.
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archived:
        if sum(part.file_size for part in archived.infolist()) > max(_LARGEST, size):
            raise ValueError(f"unpacked it would be larger than {_LARGEST >> 20} MiB")
        for part in archived.infolist():
            with archived.open(part) as content:
                if npy.read_magic(content) != (1, 0):  # type: ignore[no-untyped-call] # NumPy's has no types
                    raise ValueError(f"{part.filename} is of another version of NumPy's format")
                shape, _, dtype = npy.read_array_header_1_0(content)  # type: ignore[no-untyped-call] # the same
                if content.tell() + math.prod(shape) * dtype.itemsize != part.file_size:
                    raise ValueError(f"{part.filename} has not the bytes of its shape")


def _of_this_version(arrays: _Arrays) -> _Arrays:
    """Add to a file from before there were tasks what it would say now."""
    if "emotions" not in arrays:
        return arrays
    if tuple(arrays["emotions"].tolist()) != DEFAULT_TASK.names:
        raise ValueError("its labels stand for other emotions")
    return arrays | {
        "label_names": arrays["emotions"],
        "names": np.full(len(arrays["labels"]), ",".join(DEFAULT_TASK.names)),
        "front_end": np.array(json.dumps(DEFAULT_TASK.front_end.to_dict())),
    }


def _checked(arrays: _Arrays) -> Stored:
    features, frames, labels = (arrays[name] for name in ("features", "frames", "labels"))
    count, front_end = len(features), FrontEndShape(**json.loads(str(arrays["front_end"])))
    if features.shape[2:] != (front_end.features,) or features.dtype != np.float32:
        raise ValueError(f"its features are {features.dtype} {features.shape}")
    if frames.shape != (count,) or labels.shape != (count,):
        raise ValueError("its parts are not of the same length")
    if frames.dtype.kind != "i" or labels.dtype.kind != "i":
        raise ValueError("its labels or numbers of frames are no integers")
    label_names = tuple(map(str, arrays["label_names"].tolist()))
    check_names(label_names)
    if count and not (
        np.isfinite(features).all()
        and frames.min() >= 1
        and frames.max() <= min(front_end.frames, features.shape[1])
        and labels.min() >= -1
        and labels.max() < len(label_names)
    ):
        raise ValueError("a value is out of range")
    label = [None if index < 0 else label_names[index] for index in labels.tolist()]
    told = (arrays[name] for name in ("probabilities", "names", "heard_at", "seconds", "speakers"))
    known = tuple(_recognition(front_end, *row) for row in zip(label, *told, strict=True))
    return Stored(front_end, label_names, known, features, frames.astype(np.int32))


def _recognition(
    front_end: FrontEndShape,
    label: str | None,
    shares: NDArray[np.float64],
    names: object,
    heard_at: object,
    seconds: float,
    speaker: object,
) -> StoredUtterance:
    shares = shares.astype(np.float64)
    told = tuple(shares[~np.isnan(shares)].tolist())
    known = StoredUtterance(
        identifier=0,
        heard_at=datetime.fromisoformat(str(heard_at)),
        seconds=float(seconds),
        probabilities=told or None,
        names=tuple(str(names).split(",")),
        front_end=str(front_end),
        label=label,
        source="import",
        speaker=str(speaker) or None,
    )
    check(known)
    return known
