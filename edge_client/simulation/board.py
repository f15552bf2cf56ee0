"""Shows runs in TensorBoard while they go: scalars, settings, pictures."""

import socket
import struct
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from edge_client.simulation.progress import WatchedRun
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.study import Planned
from edge_client.simulation.summary import METRICS
from shared.errors import MissingPartError
from shared.storage.files import storage_errors

_OURS: Final = ".chorus"
"""What the names of our files end with."""

_SCALARS: Final = ("loss", "validation_loss", "validation_uar", "validation_accuracy", "seconds")
"""Of each round."""


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


def watched(run: WatchedRun, planned: Planned, board: Path | None) -> WatchedRun:
    """Let a run be seen in TensorBoard too, if there is a folder for it."""
    if board is None:
        return run
    place = planned.folder
    name = Path(place.parent.name, place.name) if planned.title else Path(place.name)
    return Board(run, planned, board / name)


class Board(WatchedRun):
    """Writes what a run gives as TensorBoard's events, and passes it on to the progress.

    Parameters
    ----------
    run
        What else watches it.
    planned
        Which run.
    folder
        The run's, below the folder that ``tensorboard --logdir`` is given.

    Raises
    ------
    StorageError
        From its methods, if it cannot be written.
    """

    def __init__(self, run: WatchedRun, planned: Planned, folder: Path) -> None:
        self._run = run
        self._planned = planned
        self._folder = folder
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}{_OURS}"
        self._file = folder / name

    def start(self, done: int, rounds: int) -> None:
        """Learn how many rounds there are; of a run that begins anew, forget those of before."""
        self._run.start(done, rounds)
        if done == rounds:
            return  # all is there
        from tensorboard.compat.proto.event_pb2 import SessionLog

        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            if done == 0:
                for old in self._folder.glob(f"events.out.tfevents.*{_OURS}"):
                    old.unlink()
        self._write(0, file_version="brain.Event:2")
        # What was shown beyond the checkpoint comes again.
        self._write(done + 1, session_log=SessionLog(status=SessionLog.START))
        settings = self._planned.settings.to_toml().replace("\n", "  \n")
        self._write(0, summary=_text("settings", settings))

    def round(self, record: RoundRow) -> None:
        """Show a finished round."""
        self._run.round(record)
        values = {name: getattr(record, name) for name in _SCALARS}
        values |= {"bytes up": record.bytes_up, "bytes down": record.bytes_down}
        self._write(record.round, summary=_scalars("round", values))

    def end(self, result: Mapping[str, Any]) -> None:
        """Show the scores on the test, and the pictures of a finished run."""
        if not self._file.exists():
            return
        rounds, files = result["settings"]["rounds"], RunFolder(self._planned.folder)
        self._write(rounds, summary=_scalars("test", {name: result[name] for name in METRICS}))
        for path in (files.confusion, files.history, files.partition, files.reliability):
            if path.exists():
                self._write(rounds, summary=_picture(path))

    def _write(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = Event(wall_time=time.time(), step=step, **what)
        # Opened each time: a study has many runs, and a reader sees at once what is there.
        with storage_errors(self._file), self._file.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def _scalars(group: str, values: Mapping[str, float | None]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    there = {name: value for name, value in values.items() if value is not None}
    return Summary(
        value=[Summary.Value(tag=f"{group}/{n}", simple_value=v) for n, v in there.items()]
    )


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
