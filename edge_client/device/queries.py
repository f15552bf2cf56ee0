"""What a device's store of examples can be asked; nothing is changed by it."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from edge_client.device.database import Database
from edge_client.device.stored import Stored, decode, recognition_of, stacked
from edge_client.device.stored_utterance import StoredUtterance
from shared.errors import ChorusError
from shared.frames import Frames
from shared.task import Task


class Queries:
    """Reads the utterances of a store.

    Parameters
    ----------
    database
        The store's file.
    task
        What it is used for.

    Attributes
    ----------
    task
        What it is used for.

    Raises
    ------
    StorageError
        If the file is damaged; so do all methods.
    """

    def __init__(self, database: Database, task: Task) -> None:
        self._database = database
        self.task = task
        self._front_end = str(task.front_end)

    def get(self, identifier: int) -> StoredUtterance:
        """Look up an utterance; raise :class:`ChorusError` if there is none of this number."""
        if identifier < 0:
            raise ChorusError("This utterance could not be kept, so nothing can be said of it.")
        rows = self._database.rows("SELECT * FROM recognitions WHERE id = ?", identifier)
        if not rows:
            raise ChorusError(
                f"There is no utterance {identifier}: it was deleted, or has made way for others."
            )
        return recognition_of(rows[0])

    def recent(self, limit: int) -> list[StoredUtterance]:
        """List the last utterances, the newest first, without those that were discarded."""
        query = "SELECT * FROM recognitions WHERE NOT discarded ORDER BY id DESC LIMIT ?"
        return [recognition_of(row) for row in self._database.rows(query, limit)]

    def answered(self, most: int) -> list[StoredUtterance]:
        """List the newest that were recognised and have a label, the newest first."""
        query = "SELECT * FROM recognitions WHERE probabilities IS NOT NULL AND label IS NOT NULL "
        rows = self._database.rows(query + "AND NOT discarded ORDER BY id DESC LIMIT ?", most)
        return [recognition_of(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Count the utterances of each label, ``unlabelled`` and ``discarded``.

        Labels that the task does not have come last; utterances of other front ends are left out.
        """
        query = "SELECT label, discarded, count(*) FROM examples WHERE front_end = ? GROUP BY 1, 2"
        counts = dict.fromkeys([*self.task.names, "unlabelled", "discarded"], 0)
        for label, discarded, count in self._database.rows(query, self._front_end):
            name = "discarded" if discarded else label or "unlabelled"
            counts[name] = counts.get(name, 0) + count
        return counts

    def counts_elsewhere(self) -> dict[str, int]:
        """Count the utterances of each other front end: they are kept, but not learned from."""
        query = (
            "SELECT front_end, count(*) FROM examples WHERE front_end != ? AND discarded = 0 "
            "GROUP BY 1 ORDER BY 1"
        )
        return dict(map(tuple, self._database.rows(query, self._front_end)))

    def labelled(self, most: int) -> list[int]:
        """List the numbers of the newest with a label of the task, the oldest first."""
        return [number for number, _, _ in self._labelled(most)][::-1]

    def said(self, most: int) -> list[str]:
        """List the labels of those of them that the device has heard itself: not of imported."""
        return [label for _, label, source in self._labelled(most) if source != "import"]

    def _labelled(self, most: int) -> list[tuple[int, str, str]]:
        """Give number, label and source of the newest with a label of the task."""
        query = (
            "SELECT id, label, source FROM examples WHERE front_end = ? AND discarded = 0 "
            "AND label IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?"
        )
        names = json.dumps(self.task.names)
        return self._database.rows(query, self._front_end, names, most)

    def sure(self, least: float, most: int) -> list[int]:
        """List the newest unlabelled ones of so high a probability, the oldest first."""
        query = (
            "SELECT id, probabilities FROM examples WHERE front_end = ? AND discarded = 0 "
            "AND label IS NULL AND names = ? AND probabilities IS NOT NULL ORDER BY id DESC"
        )
        with self._database.reading() as reading:
            rows = reading.execute(query, (self._front_end, ",".join(self.task.names)))
            found = (number for number, told in rows if max(json.loads(told)) >= least)
            return list(islice(found, most))[::-1]

    def read(self, identifiers: Iterable[int]) -> Iterator[tuple[StoredUtterance, Frames]]:
        """Read whole utterances one by one.

        Those that have gone, are damaged, or are of another front end are left out.
        """
        query = "SELECT * FROM examples WHERE id = ? AND front_end = ?"
        with self._database.reading() as reading:
            for identifier in identifiers:
                row = reading.execute(query, (identifier, self._front_end)).fetchone()
                if row and (frames := decode(row, self.task.front_end)) is not None:
                    yield recognition_of(row), frames

    def longest(self, identifiers: Iterable[int]) -> int:
        """Count the frames of the longest of these utterances, without reading them."""
        query = (
            "SELECT max(length(frames)) FROM examples "
            "WHERE id IN (SELECT value FROM json_each(?)) AND front_end = ?"
        )
        rows = self._database.rows(query, json.dumps(list(identifiers)), self._front_end)
        return (rows[0][0] or 0) // (4 * self.task.front_end.features)

    def kept(self, *, imports: bool = True) -> list[int]:
        """List the numbers of all of this front end that were not discarded, the oldest first.

        Without ``imports`` those alone that the device has heard itself.
        """
        query = (
            "SELECT id FROM examples WHERE front_end = ? AND discarded = 0 "
            "AND (? OR source != 'import') ORDER BY id"
        )
        return [row[0] for row in self._database.rows(query, self._front_end, imports)]

    def heard(self, most: int) -> dict[int, int]:
        """Say what the newest that the device has heard itself were labelled, the oldest first.

        Returns
        -------
        dict of int to int
            By its number, the place of an utterance's label in the task; -1 if it has none there.
        """
        query = (
            "SELECT id, label FROM examples WHERE front_end = ? AND discarded = 0 "
            "AND source != 'import' ORDER BY id DESC LIMIT ?"
        )
        rows = self._database.rows(query, self._front_end, most)
        return {number: self.task.index.get(label, -1) for number, label in rows[::-1]}

    def stored(self, identifiers: list[int]) -> Stored:
        """Read whole utterances, as :meth:`read` does, into arrays."""
        found, longest = self.read(identifiers), self.longest(identifiers)
        return stacked(found, self.task, len(identifiers), longest)

    def everything(self) -> Stored:
        """Read all that :meth:`kept` lists."""
        return self.stored(self.kept())

    def changed_elsewhere(self) -> bool:
        """Say whether another process has changed the file since this was asked last."""
        return self._database.changed_elsewhere()

    def statistics(self) -> dict[str, Any] | None:
        """Read this front end's running statistics that were kept last; ``None`` if none were."""
        return self._database.fact(self._statistics_name)

    @property
    def _statistics_name(self) -> str:
        return f"statistics {self._front_end}"
