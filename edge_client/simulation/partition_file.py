"""A partition that a CSV file gives: which clip is which client's."""

import csv
import functools
import logging
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import SettingsError
from shared.storage.files import open_file

Indices = NDArray[np.int64]

log = logging.getLogger(__name__)

SUFFIX: Final = ".csv"
"""What the name of such a partition ends with."""

_COLUMNS: Final = ("clip", "client")

_REMEDY: Final = (
    "It should have the columns clip and client, and a row for each clip: docs/simulation.md."
)

_SHOWN: Final = 100
"""Characters of a name that a sentence repeats."""


def divide_by_file(path: Path, clips: NDArray[np.str_]) -> list[Indices]:
    """Divide a training set as a CSV file says.

    Clips of the file that are not in the training set are left out, and so are clips of the
    training set that are not in the file; a warning counts both.

    Parameters
    ----------
    path
        A CSV file with the columns ``clip`` (as its corpus names it) and ``client``, in any order.
        A clip may have several clients.
    clips
        The training set's clips, shape ``(n,)``.

    Returns
    -------
    list of numpy.ndarray
        For each client, in the order of their names, the indices of its clips, ascending, int64.

    Raises
    ------
    SettingsError
        If the file cannot be read, a row of it is wrong, or a client has no clip.
    """
    rows = _read(path)
    places = {str(clip): place for place, clip in enumerate(clips)}
    held: dict[str, set[int]] = {client: set() for _, client in rows}
    strange: dict[str, None] = {}
    for clip, client in rows:
        if clip in places:
            held[client].add(places[clip])
        else:
            strange[clip] = None
    if strange:
        first = next(iter(strange))[:_SHOWN]
        _warn(
            f"{path}: {len(strange)} clips are not in the training set and are left out; the first "
            f"is {first!r}."
        )
    if unnamed := len(places) - len(set().union(*held.values())):
        _warn(f"{path}: {unnamed} clips of the training set are not in it and are left out.")
    for client, own in held.items():
        if not own:
            raise SettingsError(
                f"{path}: the client {client[:_SHOWN]!r} has no clip in the training set.",
                "Give it one, or leave it out; clips to validate and to test with do not count.",
            )
    return [np.array(sorted(held[client]), np.int64) for client in sorted(held)]


def _read(path: Path) -> list[tuple[str, str]]:
    """Read the rows: clip and client."""
    try:
        # utf-8-sig: spreadsheets begin their CSV files with a byte-order mark.
        with TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns = list(reader.fieldnames or ())
            if sorted(columns) != sorted(_COLUMNS):
                said = ",".join(columns)[:_SHOWN]
                raise SettingsError(
                    f"{path} has other columns than clip,client: {said!r}.", _REMEDY
                )
            rows = []
            for row in reader:
                clip, client = row["clip"], row["client"]
                if not clip or not client or None in row:
                    raise SettingsError(
                        f"{path}, line {reader.line_num}: there should be a clip and a client.",
                        _REMEDY,
                    )
                rows.append((clip, client))
    except FileNotFoundError as error:
        raise SettingsError(f"There is no partition {path}.", _REMEDY) from error
    except OSError as error:
        raise SettingsError(f"Cannot read the partition {path}: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} is not a CSV file in UTF-8 ({error}).", _REMEDY) from error
    if not rows:
        raise SettingsError(f"{path} names no clips.", _REMEDY)
    return rows


@functools.cache
def _warn(sentence: str) -> None:
    """Say it once, however many runs divide the same clips."""
    log.warning("%s", sentence)
