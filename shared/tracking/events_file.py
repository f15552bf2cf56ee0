"""TensorBoard's files of events."""

import socket
import struct
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from shared.errors import MissingPartError
from shared.storage.files import storage_errors, write_atomically
from shared.tracking.tracked_run import Point

_OURS: Final = ".chorus"
"""What the names of our files end with."""

_MARKER: Final = ".chorus-run"
"""File in a folder that says whose curves are in it."""


def check_tensorboard(board: Path) -> None:
    """Make the folder, before a run begins for nothing.

    Raises
    ------
    MissingPartError
        If TensorBoard's package is not installed.
    StorageError
        If the folder cannot be made.
    """
    if find_spec("tensorboard") is None:
        raise MissingPartError(
            "What --tensorboard writes needs tensorboard, which is not installed.",
            "Install it with: pip install 'chorus-edge[tensorboard]'",
        )
    with storage_errors(board):
        board.mkdir(parents=True, exist_ok=True)


def own_folder(wanted: Path, owner: bytes, *, unmarked: bool = False) -> Path:
    """Make the folder of one owner's curves: the wanted one, or beside it where that is another's.

    What has the same name need not be the same run, or the same federation.

    Parameters
    ----------
    wanted
        The folder, after its owner's name.
    owner
        What tells the owner from all others; it stands in the folder.
    unmarked
        Whether curves that do not say whose they are, as those of earlier versions, are the
        owner's: then they are gone on with. Else they are left alone.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    folder, number = wanted, 1
    with storage_errors(wanted):
        while not _belongs(folder, owner, unmarked=unmarked):
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / _MARKER, owner)
    return folder


def _belongs(folder: Path, owner: bytes, *, unmarked: bool) -> bool:
    """Say whether a folder is the owner's, or nobody's."""
    marker = folder / _MARKER
    if marker.exists():
        return marker.read_bytes() == owner
    return unmarked or not any(folder.glob("events.out.tfevents.*"))


class EventsFile:
    """What TensorBoard shows of one run.

    Parameters
    ----------
    folder
        The run's, below the folder that ``tensorboard --logdir`` is given.

    Raises
    ------
    StorageError
        From its methods, if it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}{_OURS}"
        self._file = folder / name

    def begin(self, done: int, settings: str) -> None:
        """Begin, or go on after so many rounds; of a run that begins anew, forget those of before.

        Parameters
        ----------
        done
            Rounds that are shown already; what was shown beyond comes again.
        settings
            As TOML.
        """
        from tensorboard.compat.proto.event_pb2 import SessionLog

        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if done == 0:
                for old in self._folder.glob(f"events.out.tfevents.*{_OURS}"):
                    old.unlink()
        now = time.time()
        self._write(0, now, file_version="brain.Event:2")
        self._write(done + 1, now, session_log=SessionLog(status=SessionLog.START))
        self._write(0, now, summary=_text("settings", settings.replace("\n", "  \n")))

    def show(self, point: Point) -> None:
        """Add a point to the curves."""
        self._write(point.step, point.at, summary=_scalars(point.there))

    def show_picture(self, step: int, path: Path) -> None:
        """Show a PNG."""
        self._write(step, time.time(), summary=_picture(path))

    def _write(self, step: int, at: float, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = Event(wall_time=at, step=step, **what)
        # Opened each time: a study has many runs, and a reader sees at once what is there.
        with storage_errors(self._file), self._file.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=n, simple_value=v) for n, v in values.items()])


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata.PluginData(plugin_name="text")
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _picture(path: Path) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    png = path.read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=path.stem, image=image)])
