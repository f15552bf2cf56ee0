"""A new global model on its last step: from its file to whoever recognises with it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge_client.federation.announced_round import AnnouncedRound
from shared.errors import ChorusError, StorageError
from shared.loop import Worker
from shared.protocol.messages import Announcement

OnModel = Callable[[Path, Announcement], None]
"""Told of a new global model: its file, and the announcement. May take its time."""


class Handover:
    """Hands each new global model over once; one that cannot be used, when it is announced anew.

    Parameters
    ----------
    on_model
        Told of each; called in the worker's thread, as it reads the file.
    worker
        Where it is done.
    remark
        Told of a model that cannot be used.
    """

    def __init__(
        self, on_model: OnModel, worker: Worker, remark: Callable[[ChorusError], None]
    ) -> None:
        self._on_model = on_model
        self._worker = worker
        self._remark = remark
        self._used: str | None = None
        self._under_way: str | None = None
        self._unusable: str | None = None

    def announced(self) -> None:
        """Learn that a round was announced: what could not be used may be tried again."""
        self._unusable = None

    def give(self, announced: AnnouncedRound, path: Path) -> None:
        """Hand over a round's model, whose file is there, unless it was done or is being done.

        Raises
        ------
        StorageError
            Later, in the loop, if the disk is full: to be called again.
        """
        digest = announced.recognises.digest
        if digest not in (self._used, self._under_way, self._unusable):
            self._under_way = digest
            work = partial(self._on_model, path, announced.announcement)
            self._worker.do(work, partial(self._done, digest), partial(self._failed, digest))

    def _done(self, digest: str, _: None) -> None:
        self._used = digest
        if self._under_way == digest:
            self._under_way = None

    def _failed(self, digest: str, error: ChorusError) -> None:
        if self._under_way != digest:
            return  # another one is current, and this one's file may be gone
        self._under_way = None
        if isinstance(error, StorageError):
            raise error
        self._unusable = digest
        self._remark(error)
