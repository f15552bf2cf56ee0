"""Who is there: what clients say of themselves, in the rounds and in the ledger."""

import logging
from collections.abc import Callable
from typing import Any, Final

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Step
from aggregator.server.rejections import Rejections
from shared.errors import StorageError
from shared.loop import Loop
from shared.protocol.messages import Presence

log = logging.getLogger(__name__)

_WRITE_SEEN: Final = 5.0
"""Seconds within which it is written when clients were last seen: each writing waits for the
disk."""


_SECURE_SINCE: Final = 3
"""The protocol's minor version that has secure rounds."""


class Attendance:
    """Takes note of who is there, and of when clients were last seen.

    Parameters
    ----------
    federation
        Whose clients.
    rejections
        Where it is said what is wrong with clients.
    loop
        What it stands on.
    came
        Told what the rules say after a client that trains has come.
    """

    def __init__(
        self,
        federation: Federation,
        rejections: Rejections,
        loop: Loop,
        came: Callable[[Step], None],
    ) -> None:
        self._federation = federation
        self._rejections = rejections
        self._clock = loop.clock
        self._came = came
        self._write = loop.deadline(self._write_seen)

    def take(self, client: str, presence: Presence) -> None:
        """Take what a client says of itself, or the broker of one that is gone.

        Raises
        ------
        StorageError
            If a round should open now and the disk is full.
        """
        rounds = self._federation.rounds
        there = presence.state == "online"
        # A client of 1.0 does not say its task: it learns from a refusal whether it fits.
        fits = presence.task in (None, self._federation.architecture.task.digest)
        enough, news = self._supply(client, presence)
        adds = self._federation.secure is None or presence.minor >= _SECURE_SINCE
        trains = there and presence.trains and fits and enough and adds
        if there and not adds:
            sentence = "It knows no secure rounds, and is not invited: it needs a newer version."
            self._rejections.about(client, sentence)
        if there and not fits:
            sentence = "It is of another task, and not invited to rounds."
            self._rejections.about(client, sentence)
        # Who is away says nothing of itself: what it said last stays.
        said: dict[str, Any] = {"software": presence.software} if there else {}
        if there and presence.supply is not None:
            said["supply"] = presence.supply
        elif there and presence.examples is not None:
            said |= {"examples": presence.examples, "supply": ""}
        self.see(client, present=there, trains=trains, **said)
        if trains:
            rounds.present.come(client, news=news)
            self._came(rounds.look(self._clock()))
        else:
            rounds.present.leave(client)

    def shut_out(self, client: str) -> None:
        """Learn that a client takes part no more, whatever it says."""
        self._federation.rounds.present.leave(client)
        self.see(client, present=False, trains=False)

    def see(self, client: str, **facts: Any) -> None:
        """Take note that a client was seen; it is written with what comes next, or soon.

        Parameters
        ----------
        client
            Its name.
        **facts
            As :meth:`aggregator.ledger.ledger.Ledger.see` takes them.
        """
        self._federation.ledger.see(client, **facts)
        self._write.within(_WRITE_SEEN)

    def _supply(self, client: str, presence: Presence) -> tuple[bool, bool]:
        """Say whether a client has enough examples to take part, and whether enough are new."""
        if presence.supply is not None:
            return presence.supply in ("enough", "new"), presence.supply == "new"
        # One before 1.2 counts all of them, and those after each label. A later one has not read
        # yet what the federation asks for, and says no number.
        settings, number = self._federation.settings, presence.examples
        enough = max(1, number or 0) >= settings.least_examples
        if number is None:
            return enough, False
        fresh = self._federation.rounds.present.fresh(client, number)
        return enough, fresh >= settings.new_examples

    def _write_seen(self) -> None:
        try:
            self._federation.ledger.flush()
        except StorageError as error:
            # It is kept until there is space.
            log.warning("%s", error.message)
