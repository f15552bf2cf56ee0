"""What a federation has come to, gathered from its ledger as that grows."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aggregator.ledger import (
    ClientRecord,
    Counts,
    History,
    Refusal,
    RoundRecord,
    UpdateRecord,
    Version,
)
from aggregator.rounds.scoring import scores_of, summed_confusion

_ROUNDS = 30
"""Rounds, the newest, that are told one by one."""

_REFUSALS = 50
_VERSIONS = 60


@dataclass(frozen=True, slots=True)
class Point:
    """A round on the course of the federation.

    Attributes
    ----------
    round
        Its number.
    loss
        Mean training loss.
    uar
        UAR, on the clients' held-out examples, of the model that it began with.
    validation
        UAR of the model that it made, on the validation corpus.
    """

    round: int
    loss: float | None
    uar: float | None
    validation: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """How the newest model that was scored confuses the labels.

    Attributes
    ----------
    round
        The round that the model is the result of.
    validated
        Whether the counts are of the validation corpus; else of the clients' held-out examples.
    counts
        Rows are true labels, columns predicted ones.
    """

    round: int
    validated: bool
    counts: Counts


@dataclass(frozen=True, slots=True)
class Tally:
    """What accepted updates add up to.

    Attributes
    ----------
    updates, bytes
        How many there are, and bytes of their files, by codec.
    scores
        UAR on each client's own held-out examples, when it last told.
    """

    updates: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    scores: dict[str, float] = field(default_factory=dict)

    def copy(self) -> "Tally":
        """Copy it, to count on."""
        return Tally(self.updates.copy(), self.bytes.copy(), self.scores.copy())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the ledger told at one moment.

    Attributes
    ----------
    clients
        All ever seen.
    rounds
        The newest, the newest first, each with its accepted updates.
    ended
        How many rounds ended in each state, of all.
    refusals, refused
        The newest, the newest first; how many there were in all.
    versions
        The newest, the newest first.
    course
        All rounds that have ended.
    tally
        Of all accepted updates.
    model_scores
        UAR of each version that was scored.
    confusion
        Of the newest version that was scored.
    """

    clients: Sequence[ClientRecord]
    rounds: Sequence[tuple[RoundRecord, Sequence[UpdateRecord]]]
    ended: Mapping[str, int]
    refusals: Sequence[Refusal]
    refused: int
    versions: Sequence[Version]
    course: Sequence[Point]
    tally: Tally
    model_scores: Mapping[int, float]
    confusion: Confusion | None


class Overview:
    """Reads the ledger whenever it has changed, and each round that has ended only once.

    Its methods may be called from several threads.

    Parameters
    ----------
    history
        The ledger.

    Attributes
    ----------
    history
        As given.
    settings, task
        What the federation runs with.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.settings = history.settings
        self.task = history.task
        self._lock = threading.Lock()
        self._changes: int | None = None
        self._snapshot: Snapshot | None = None
        self._ended: Counter[str] = Counter()
        self._course: list[Point] = []
        self._tally = Tally()
        self._model_scores: dict[int, float] = {}

    def read(self) -> Snapshot:
        """Give what the ledger tells now; the same object while nothing has changed in it.

        Raises
        ------
        FederationError
            If the ledger is damaged, or held by another process for too long.
        StorageError
            If it cannot be read.
        """
        with self._lock:
            changes = self.history.changes
            if self._snapshot is None or changes != self._changes:
                self._follow()
                self._snapshot = self._gather()
                self._changes = changes
            return self._snapshot

    def _follow(self) -> None:
        """Take in the rounds that have ended since."""
        while record := self.history.round(len(self._course) + 1):
            if record.ended is None:
                return
            self._take_in(record, self.history.updates(record.number))

    def _take_in(self, record: RoundRecord, updates: Sequence[UpdateRecord]) -> None:
        uar = self._uar(record.confusion)
        if uar is not None:
            self._model_scores[record.base] = uar
        validation = None
        if record.state == "done":
            made = self.history.find(record.number)
            validation = self._uar(made.validation)
            if validation is not None:
                self._model_scores[made.number] = validation
        self._count(updates, self._tally)
        self._ended[record.state] += 1
        self._course.append(Point(record.number, record.loss, uar, validation))

    def _gather(self) -> Snapshot:
        history = self.history
        records = history.rounds(_ROUNDS)
        rounds = [(record, history.updates(record.number)) for record in records]
        versions = history.versions(_VERSIONS)
        tally = self._tally.copy()
        for record, updates in rounds[:1]:
            if record.ended is None:
                self._count(updates, tally)
        return Snapshot(
            clients=history.clients(),
            rounds=rounds,
            ended=dict(self._ended),
            refusals=history.refusals(_REFUSALS),
            refused=history.refused,
            versions=versions,
            course=tuple(self._course),
            tally=tally,
            model_scores=dict(self._model_scores),
            confusion=self._confusion(records, versions),
        )

    def _count(self, updates: Sequence[UpdateRecord], tally: Tally) -> None:
        for update in updates:
            tally.updates[update.codec] += 1
            tally.bytes[update.codec] += update.bytes
            own = self._uar(summed_confusion([update], self.settings["most_examples"]))
            if own is not None:
                tally.scores[update.client] = own

    def _confusion(
        self, records: Sequence[RoundRecord], versions: Sequence[Version]
    ) -> Confusion | None:
        for version in versions:
            if version.validation is not None:
                return Confusion(version.round, True, version.validation)
        for record in records:
            if record.confusion is not None:
                made = self.history.version(record.base).round
                return Confusion(made, False, record.confusion)
        return None

    def _uar(self, counts: Counts | None) -> float | None:
        scores = scores_of(counts, self.task.names)
        return None if scores is None else scores.uar
