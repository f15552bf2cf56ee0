"""A new global model on its last step: from its file to whoever recognises with it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge_client.federation.announced_round import AnnouncedRound
from shared.errors import ChorusError, StorageError
from shared.loop import Worker
from shared.protocol.messages import Announcement

OnModel = Callable[[Path, Announcement, Path | None], None]
"""Told of a new global model: its file, the announcement, and the file of what statistics begin
with, if the federation hands one out. May take its time."""

_Digests = tuple[str, str | None]
"""Of a model, and of what statistics begin with."""


class Handover:
    """Hands each new global model over once; one that cannot be used, when it is announced anew.

    Parameters
    ----------
    on_model
        Told of each; called in the worker's thread, as it reads the file.
    worker
        Where it is done.
    ended
        Told the digest of one that was handed over.
    remark
        Told of a model that cannot be used.
    """

    def __init__(
        self,
        on_model: OnModel,
        worker: Worker,
        *,
        ended: Callable[[str], None],
        remark: Callable[[ChorusError], None],
    ) -> None:
        self._on_model = on_model
        self._worker = worker
        self._ended = ended
        self._remark = remark
        self._used: _Digests | None = None
        self._under_way: _Digests | None = None
        self._unusable: _Digests | None = None
        self._starts = False
        """Whether what statistics begin with has been handed over, or is being."""

    def announced(self) -> None:
        """Learn that a round was announced: what could not be used may be tried again."""
        self._unusable = None

    def has_begun(self, announced: AnnouncedRound) -> bool:
        """Say whether whoever recognises has what statistics begin with, if that is announced.

        Where none is announced after one that was, whether they know that.
        """
        digests = _digests(announced)
        return self._used == digests or (digests[1] is None and not self._starts)

    def give(self, announced: AnnouncedRound, path: Callable[[str], Path]) -> None:
        """Hand over a round's model, whose files are there, unless it was done or is being done.

        Parameters
        ----------
        announced
            The round.
        path
            Names the file with a digest.

        Raises
        ------
        StorageError
            Later, in the loop, if the disk is full: to be called again.
        """
        digests = _digests(announced)
        if digests not in (self._used, self._under_way, self._unusable):
            self._under_way = digests
            model, start = digests
            self._starts |= start is not None
            work = partial(
                self._on_model, path(model), announced.announcement, path(start) if start else None
            )
            self._worker.do(work, partial(self._done, digests), partial(self._failed, digests))

    def _done(self, digests: _Digests, _: None) -> None:
        self._used = digests
        if self._under_way == digests:
            self._under_way = None
        self._ended(digests[0])

    def _failed(self, digests: _Digests, error: ChorusError) -> None:
        if self._under_way != digests:
            return  # another one is current, and this one's file may be gone
        self._under_way = None
        if isinstance(error, StorageError):
            raise error
        self._unusable = digests
        self._remark(error)


def _digests(announced: AnnouncedRound) -> _Digests:
    start = announced.announcement.statistics
    return announced.recognises.digest, start.digest if start else None
