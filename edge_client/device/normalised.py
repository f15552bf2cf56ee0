"""How a device's model is normalised: remembered beside the model, as long as that is kept.

A voice model or a prior lies beside it as a file. Where neither does, features are normalised by
what the device has heard alone; or not at all, if a mark says so.
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from shared.errors import WeightsError
from shared.features.start_file import load_start, save_beside, start_beside
from shared.features.statistics import Start
from shared.starter import beside
from shared.storage.files import read_file, sha256_of, storage_errors, write_atomically
from shared.storage.tensor_file import TensorFile
from shared.task import Task
from shared.weights import task_of

_NONE: Final = b"none\n"
_HEARD: Final = b"heard\n"
"""What a mark says: not normalised, or by what was heard alone; the same as without a mark."""


def mark_of(model: Path) -> Path:
    """Name the file that says of a model whether its features are normalised."""
    return model.parent / f"{model.stem}.normalisation"


@contextmanager
def keeping_normalisation(
    model: Path, digest: str, task: Task, begun: Start | None, *, normalises: bool
) -> Iterator[None]:
    """Replace a model in the block, and what is remembered beside it with it.

    Two files cannot be replaced at once. So what is to lie beside the new model is written first,
    under a name with that model's digest, and put in its place after the block. If the process is
    killed on the way, the file of the model decides what belongs to it. What lies there already is
    not written again.

    Parameters
    ----------
    model
        The model's file.
    digest
        SHA-256 of the model that it will hold.
    task
        Of that model.
    begun
        What statistics begin with, if with anything.
    normalises
        Whether features are normalised at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    settle_normalisation(model)
    if not _lies_beside(model, task, begun, normalises=normalises):
        waiting = _waiting_for(model, digest)
        if begun is not None:
            save_beside(waiting, begun, task)
        else:
            write_atomically(mark_of(waiting), _HEARD if normalises else _NONE)
    try:
        yield
    finally:
        settle_normalisation(model)


def settle_normalisation(model: Path) -> None:
    """Put what waits for the model in its place, and remove what waited for one that never came.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    with storage_errors(model):
        own = _waits_for(model)
        waiting = _beside(own) if own else ()
        for path in set(_waiting(model)).difference(waiting):
            path.unlink(missing_ok=True)
        if own is None:
            return
        # As long as one waits it is this that counts, so the earlier model's go first.
        pairs = sorted(zip(waiting, _beside(model), strict=True), key=lambda pair: pair[0].exists())
        for path, place in pairs:
            if path.exists():
                path.replace(place)
            else:
                place.unlink(missing_ok=True)
        if not _says_none(mark := mark_of(model)):
            mark.unlink(missing_ok=True)


def normalisation_beside(model: Path, task: Task) -> dict[str, Any]:
    """Give the settings by which a model is normalised, as far as what lies beside it says.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    prior, voice, mark = _beside(_waits_for(model) or model)
    if _is_of(prior, task):
        return {"prior": prior}
    if _is_of(voice, task):
        return {"normalisation": "voice", "voice": voice}
    return {"normalisation": "none"} if _says_none(mark) else {}


def _beside(model: Path) -> tuple[Path, Path, Path]:
    """Name all that may lie beside a model, of which one file does at most."""
    return beside(model, "prior"), beside(model, "voice"), mark_of(model)


def _waiting_for(model: Path, digest: str) -> Path:
    """Name a model that takes the place of another, for what is to lie beside it to wait there."""
    return model.parent / f"{model.stem}-{digest}{model.suffix}"


def _waiting(model: Path) -> list[Path]:
    """List what waits beside a model's file, whichever model it is for."""
    names = _beside(_waiting_for(Path(glob.escape(model.name)), "?" * 64))
    return [path for name in names for path in model.parent.glob(name.name)]


def _waits_for(model: Path) -> Path | None:
    """Name the model that its file holds, if what belongs to it still waits; else ``None``."""
    waiting = _waiting(model)
    if not (waiting and model.is_file()):
        return None
    own = _waiting_for(model, sha256_of(model))
    return own if set(waiting).intersection(_beside(own)) else None


def _lies_beside(model: Path, task: Task, begun: Start | None, *, normalises: bool) -> bool:
    """Say whether what lies beside a model's file says this of the next one, too."""
    there = start_beside(model)
    if begun is None:
        return there is None and _says_none(mark_of(model)) == (not normalises)
    try:
        return there is not None and load_start(there, task).digest == begun.digest
    except WeightsError:
        return False


def _says_none(mark: Path) -> bool:
    return mark.exists() and read_file(mark) != _HEARD


def _is_of(path: Path, task: Task) -> bool:
    """Say whether a file is there, and of the task."""
    return path.exists() and not task.difference(task_of(TensorFile(path).metadata, str(path)))
