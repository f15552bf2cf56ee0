"""What the aggregator tells everybody: where the federation stands; the broker keeps it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aggregator.rounds.federation import Federation
from shared.protocol.fields import MOST_FORGOTTEN
from shared.protocol.messages import Announcement, Difference, File
from shared.secure_round import CODEC


class Announcer:
    """Announces the current round.

    Parameters
    ----------
    federation
        What is served.
    publish
        Publishes an announcement, retained; returns false if it was not sent.
    clock
        The clock that the rounds go by.

    Attributes
    ----------
    told_end
        Whether it was announced that the last round has ended.
    """

    def __init__(
        self,
        federation: Federation,
        publish: Callable[[Announcement], bool],
        clock: Callable[[], float],
    ) -> None:
        self._federation = federation
        self._publish = publish
        self._clock = clock
        self.told_end = False
        self._said = b""
        self._arrived = False

    def announce(self) -> bool:
        """Tell everybody where the federation stands; say whether it was sent."""
        announcement = self._announcement()
        self._said, self._arrived = announcement.encode(), False
        told = self._publish(announcement)
        self.told_end = told and announcement.state == "finished"
        return told

    def contradicts(self, payload: bytes) -> bool:
        """Say whether somebody else has announced this, after what was announced here last.

        The broker sends everybody the same announcements in the same order, the aggregator too. Of
        what comes before its own last one, that makes an end by itself.
        """
        if payload == self._said:
            self._arrived = True
            return False
        return self._arrived

    def _announcement(self) -> Announcement:
        settings, rounds = self._federation.settings, self._federation.rounds
        current = self._federation.current
        state = {"waiting": "waiting", "finished": "finished"}.get(rounds.phase, "open")
        left = None if rounds.deadline is None else max(0.0, rounds.deadline - self._clock())
        return Announcement(
            federation=settings.federation,
            run=self._federation.ledger.run,
            state=state,  # type: ignore[arg-type] # one of the three, as the dictionary shows
            round=max(1, rounds.number),
            architecture=settings.model,
            task=self._federation.architecture.task,
            model=self._file(current.digest),
            difference=self._difference(),
            averaged=self._file(current.average) if current.average else None,
            control=self._file(current.control) if current.control else None,
            statistics=self._file(current.statistics) if current.statistics else None,
            training=settings.announced(max(1, rounds.number)),
            strategy=settings.strategy,
            vectors=list(self._federation.extra_vectors),
            codecs=[CODEC] if settings.secure else list(settings.codecs),
            seed=settings.seed,
            least_examples=settings.least_examples,
            new_examples=settings.new_examples,
            forgotten=self._federation.ledger.forgotten()[-MOST_FORGOTTEN:] or None,
            clients=sorted(rounds.invited) if state == "open" else None,
            closes_in=left,
            closes_at=None if left is None else datetime.now(UTC) + timedelta(seconds=left),
            chunk=settings.chunk,
            succession=self._federation.voice.succession,
            secure=self._federation.secure.offer if self._federation.secure else None,
        )

    def _difference(self) -> Difference | None:
        """Name the difference to the model before; after a rollback there is none."""
        current, settings = self._federation.current, self._federation.settings
        if current.difference is None or current.origin != "round" or current.parent is None:
            return None
        base = self._federation.ledger.version(current.parent).digest
        return Difference(
            base=base, file=self._file(current.difference), codec=settings.download_codec
        )

    def _file(self, digest: str) -> File:
        return File(digest=digest, size=self._federation.files.size(digest))
