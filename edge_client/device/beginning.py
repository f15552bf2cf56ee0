"""What a device begins with where its person has not said it."""

import json
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from edge_client.device.damage import in_the_making, readable_rows
from edge_client.device.erasing import opened
from edge_client.device.normalised import normalisation_beside
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from shared.errors import ChorusError, WeightsError
from shared.features.voice_file import load_voice
from shared.front_ends import FRONT_ENDS, WHISPER, front_end_of
from shared.starter import STARTER, STARTER_TASK, STARTER_VOICE
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, FrontEndShape, Task, labels_of
from shared.task_settings import TaskSettings
from shared.weights import load_weights, task_of

CHOSEN: Final = {"prior", "voice", "normalisation"}
"""Settings by which a person says how statistics begin, whatever belongs to a model."""

AnyDevice = TypeVar("AnyDevice", bound=DeviceSettings)

Choice = TypeVar("Choice", bound=TaskSettings)

_Found = TypeVar("_Found")


def begun(settings: AnyDevice) -> AnyDevice:
    """Give a device's settings with what its person left open.

    What is recognised is, where labels or front end were not given: the task of the model that was
    given, else what the state folder was used with, else the starter's. A device of the starter's
    task recognises with the starter until it has a model. What its statistics begin with belongs to
    the model: it lies beside the file, and in the state folder the device remembers it.

    Parameters
    ----------
    settings
        As the person gave them.

    Raises
    ------
    WeightsError
        If the model that was given, or what lies beside it, cannot be read.
    SettingsError
        If the folder was used with an encoder of one's own that is not named now: with another one
        the device would know nothing of what it has learned.
    """
    state = DeviceFolder(settings.folder)
    if settings.starter:
        chosen = settings.model_copy(update={"front_end": WHISPER.name})
    elif settings.weights:
        metadata = TensorFile(settings.weights).metadata
        chosen = following(settings, task_of(metadata, str(settings.weights)))
    else:
        before = earlier_task(state) or STARTER_TASK
        if "front_end" not in settings.model_fields_set:
            _check_encoder(before.front_end)
        chosen = following(settings, before)
    task = chosen.task
    starts = chosen.weights is None and task.difference(STARTER_TASK) is None
    update: dict[str, Any] = {"starter": starts}
    if not CHOSEN & settings.model_fields_set:
        # The model that will recognise: no other's voice may stand beside it.
        alone = starts and not _is_model_of(state.model, task)
        model = STARTER if alone else settings.weights or state.model
        update |= normalisation_beside(model, task)
        if starts and not (alone or update.keys() & CHOSEN):
            update |= _normalised_before(state, task)
    return chosen.model_copy(update=update)


def _normalised_before(state: DeviceFolder, task: Task) -> dict[str, Any]:
    """Give the settings by which a folder of an earlier version was normalised.

    That remembered nothing beside its model: it fell back on the package's voice, as its running
    statistics say.
    """
    name = f"statistics {task.front_end}"
    try:
        statistics = _read(state.examples, lambda connection: _fact(connection, name))
    except ValueError:
        return {}
    model = statistics.get("model") if isinstance(statistics, dict) else None
    if model is None or model != load_voice(STARTER_VOICE, task).digest:
        return {}
    return {"normalisation": "voice", "voice": STARTER_VOICE}


def _is_model_of(path: Path, task: Task) -> bool:
    """Say whether a file is a model that a device of the task can use."""
    try:
        return not task.difference(load_weights(path)[1].task)
    except WeightsError:
        return False


def _check_encoder(front_end: FrontEndShape) -> None:
    """Raise unless the encoder of a front end, if it has one, is known here by its name."""
    if front_end.weights and not FRONT_ENDS.has(front_end.name):
        front_end_of(front_end)


def following(settings: Choice, task: Task) -> Choice:
    """Give settings with the labels and the front end of a task, but for those that were given."""
    own: dict[str, Any] = {"labels": task.names}
    if FRONT_ENDS.has(task.front_end.name):
        own["front_end"] = task.front_end.name
    given = settings.model_fields_set
    return settings.model_copy(update={n: value for n, value in own.items() if n not in given})


def earlier_task(state: DeviceFolder) -> Task | None:
    """Find what a state folder was used with last: by its store, else by its model.

    Nothing is written. A damaged store is asked for what can still be read of it.

    Returns
    -------
    Task or None
        ``None`` if the folder holds neither an utterance nor a model.
    """
    for store in (state.examples, *in_the_making(state.examples)):
        if store.is_file() and (found := _task_of_store(store)):
            return found
    try:
        return task_of(TensorFile(state.model).metadata, str(state.model))
    except WeightsError:
        return None


def _task_of_store(path: Path) -> Task | None:
    """Find the task of a store, whatever has become of it; ``None`` if it holds no utterance."""
    try:
        return _read(path, _remembered)
    except ValueError:
        return _task_of_rows(path)


def _remembered(connection: sqlite3.Connection) -> Task | None:
    """Read the task that a store remembers, of this version or an earlier one."""
    if not connection.execute("SELECT 1 FROM examples WHERE NOT discarded LIMIT 1").fetchone():
        return None
    task = _fact(connection, "task")
    return DEFAULT_TASK if task is None else Task.from_dict(task)


def _fact(connection: sqlite3.Connection, name: str) -> Any:
    """Read what a store has written down; ``None`` if it has not."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
    return json.loads(row[0]) if row else None


def _read(path: Path, read: Callable[[sqlite3.Connection], _Found]) -> _Found:
    """Read from a store, which nothing is written to; raise ``ValueError`` if that cannot be."""
    for how in ("mode=rw", "mode=ro&immutable=1"):  # the latter needs no room for a file beside it
        uri = f"{path.absolute().as_uri()}?{how}"
        try:
            with closing(opened(uri, uri=True)) as connection:
                return read(connection)
        except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError):
            continue
    raise ValueError(f"{path} cannot be read")


def _task_of_rows(path: Path) -> Task | None:
    """Make a task of what the newest utterance that can be read was recognised for."""
    newest = deque(readable_rows(path), maxlen=1)
    try:
        front_end = str(newest[0]["front_end"]).partition(" ")[0]
        return Task(labels_of(newest[0]["names"].split(",")), FRONT_ENDS.get(front_end).shape)
    except (IndexError, AttributeError, ChorusError, ValueError):
        return None
