"""What the aggregator tells everybody: where the federation stands; the broker keeps it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aggregator.rounds.asked import asked, file_of
from aggregator.rounds.federation import Federation
from shared.protocol.fields import MOST_FORGOTTEN, Successor
from shared.protocol.messages import Announcement, Difference, File
from shared.protocol.privacy_offer import PrivacyOffer


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
    renewed
        Gives, of the members that have had other keys, how they came to the newest.

    Attributes
    ----------
    told_end
        Whether it was announced that the last round has ended.
    arrived
        Whether the last announcement has been heard.
    """

    def __init__(
        self,
        federation: Federation,
        publish: Callable[[Announcement], bool],
        clock: Callable[[], float],
        renewed: Callable[[], Mapping[str, Sequence[Successor]]] = dict,
    ) -> None:
        self._federation = federation
        self._publish = publish
        self._clock = clock
        self._renewed = renewed
        self.told_end = False
        self.arrived = False
        self._said = b""

    def announce(self) -> bool:
        """Tell everybody where the federation stands; say whether it was sent."""
        announcement = self._announcement()
        self._said, self.arrived = announcement.encode(), False
        told = self._publish(announcement)
        self.told_end = told and announcement.state == "finished"
        return told

    def contradicts(self, payload: bytes) -> bool:
        """Say whether somebody else has announced this, after what was announced here last.

        The broker sends everybody the same announcements in the same order, the aggregator too. Of
        what comes before its own last one, that makes an end by itself.
        """
        if payload == self._said:
            self.arrived = True
            return False
        return self.arrived

    def _announcement(self) -> Announcement:
        settings, rounds = self._federation.settings, self._federation.rounds
        current = self._federation.current
        state = {"waiting": "waiting", "finished": "finished"}.get(rounds.phase, "open")
        left = None if rounds.deadline is None else max(0.0, rounds.deadline - self._clock())
        secure = self._federation.secure
        return Announcement(
            **asked(
                settings,
                self._federation.files,
                self._federation.ledger.run,
                max(1, rounds.number),
                current,
                secure.offer if secure else None,
            ),
            state=state,  # type: ignore[arg-type] # one of the three, as the dictionary shows
            difference=self._difference(),
            averaged=self._file(current.average) if current.average else None,
            strategy=settings.strategy,
            vectors=list(self._federation.extra_vectors),
            least_examples=settings.least_examples,
            new_examples=settings.new_examples,
            forgotten=self._federation.ledger.forgotten()[-MOST_FORGOTTEN:] or None,
            clients=sorted(rounds.invited) if state == "open" else None,
            closes_in=left,
            closes_at=None if left is None else datetime.now(UTC) + timedelta(seconds=left),
            chunk=settings.chunk,
            succession=self._federation.voice.succession,
            issued=self._federation.voice.issued,
            renewed=self._renewed_of(secure.offer.devices) if secure else None,
            privacy=self._privacy(),
        )

    def _privacy(self) -> PrivacyOffer | None:
        """Say how much models may tell of a device, where there is a budget."""
        settings = self._federation.settings
        if settings.dp_epsilon is None or settings.rounds is None:
            return None
        return PrivacyOffer(
            epsilon=settings.dp_epsilon,
            delta=settings.dp_delta,
            rounds=settings.rounds,
            noise_by="devices" if settings.secure else "aggregator",
        )

    def _renewed_of(self, devices: Collection[str]) -> dict[str, list[Successor]] | None:
        """Say how devices came to their keys, where they have had others."""
        if not devices:
            return None
        renewed = self._renewed()
        return {name: list(renewed[name]) for name in devices if renewed.get(name)} or None

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
        return file_of(self._federation.files, digest)
