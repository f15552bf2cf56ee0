"""The entrance of a federation by invitation: who may speak, who joins, who is shut out.

It is the service's part in it, and stands on the service's loop.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from aggregator.enrolment.doorkeeper import Doorkeeper
from aggregator.enrolment.invitations import let_in
from aggregator.enrolment.members import Members
from aggregator.enrolment.mosquitto import RESPONSE, MosquittoAccounts
from aggregator.enrolment.voice import Voice
from shared.errors import ProtocolError, StorageError, TrustError
from shared.loop import Loop
from shared.protocol.joining import JoinAnswer, JoinRequest
from shared.protocol.topics import Topics

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at whether somebody was revoked."""

NEWS: Final = 30.0
"""Seconds between two announcements because somebody asks again who has joined already: whoever
has a code can ask as often as the broker lets it, and each announcement stirs all devices."""

_RETRY: Final = 10.0
"""Seconds until what a full disk has prevented is tried again."""


class Entrance:
    """Looks at each message of clients before anything else does.

    Parameters
    ----------
    members
        Who was invited and who has joined.
    topics
        Of the federation.
    voice
        What the aggregator signs with.
    loop
        What it stands on.
    reject
        Told of a client, and what is wrong with it.
    answer
        Sends an answer to who asks to join.
    tell_broker
        Sends a message to a topic of the broker's own.
    announce
        Announces again: somebody was let in, who believes nothing that was announced before; or the
        aggregator signs with another key.
    gone
        Told of each client that was revoked, or has another key from now on; again where the disk
        was full.
    """

    def __init__(  # noqa: PLR0913 -- most are the service's functions
        self,
        members: Members,
        topics: Topics,
        voice: Voice,
        *,
        loop: Loop,
        reject: Callable[[str, str], object],
        answer: Callable[[str, JoinAnswer], object],
        tell_broker: Callable[[str, bytes], object],
        announce: Callable[[], None],
        gone: Callable[[str], None],
    ) -> None:
        self._members = members
        self._topics = topics
        self._voice = voice
        self._reject = reject
        self._answer = answer
        self._announce = announce
        self._gone = gone
        self._keeper = Doorkeeper(members, topics, loop, reject)
        self._plugin: MosquittoAccounts | None = None
        if members.facts().get("accounts") == "plugin":
            self._plugin = MosquittoAccounts(members, topics, loop, tell_broker)
        self._news = loop.deadline(self._tell_news)
        self._clock, self._told_at = loop.clock, -NEWS
        self._joined: set[str] = set()
        """Who has joined, and was not told so yet."""
        self._leaving: set[str] = set()
        """Who was revoked, and is still to be told of."""
        self._tell_again = loop.deadline(self._tell_who_is_gone)
        self._look = loop.deadline(self._look_again)
        self._look.within(LOOK)

    @property
    def hears(self) -> list[str]:
        """What is to be subscribed to for it, besides what those say who ask to join."""
        return [RESPONSE] if self._plugin else []

    def begin(self, invited: Iterable[str]) -> None:
        """Shut out who takes part in the open round, and was revoked while nobody looked."""
        self._leaving.update(name for name in invited if not self._keeper.knows(name))
        self._tell_who_is_gone()

    def connected(self) -> None:
        """Learn that the connection to the broker is new."""
        if self._plugin:
            self._plugin.connected()

    def hear_broker(self, payload: bytes) -> None:
        """Hear what the broker says of accounts."""
        if self._plugin:
            self._plugin.hear(payload)

    def lets_pass(self, client: str, kind: str, payload: bytes) -> bool:
        """Say whether a message is one of a member, for others to handle."""
        if kind == "join":
            self._asked(client, payload)
            return False
        return self._keeper.lets_pass(client, kind, payload)

    def close(self) -> None:
        """Write down what was heard."""
        self._keeper.close()

    def _asked(self, name: str, payload: bytes) -> None:
        """Answer a device that asks to join."""
        try:
            nonce = JoinRequest.decode(payload).nonce
        except ProtocolError as error:
            self._reject(name, error.problem)
            return
        try:
            joined = let_in(self._members, self._topics, name, payload, self._voice.keys)
        except TrustError as error:
            self._reject(name, error.problem)
            self._answer(name, self._said(nonce=nonce, sentence=error.message))
            return
        if joined.first:
            log.info("%s has joined the federation.", name)
            self._joined.add(name)
            self._see_who_is_gone()
        authority = self._members.facts().get("authority") or None
        answer = self._said(nonce=nonce, half=joined.half.hex(), authority=authority)
        welcome = partial(self._welcome, name, answer)
        if self._plugin:
            self._plugin.when_there(self._topics.identifier(name), welcome)
        else:
            welcome()

    def _said(self, **facts: Any) -> JoinAnswer:
        voice = self._voice
        return JoinAnswer(succession=voice.succession, issued=voice.issued, **facts)

    def _welcome(self, name: str, answer: JoinAnswer) -> None:
        self._answer(name, answer)
        if name in self._joined:  # which an invitation allows once
            self._joined.remove(name)
            self._tell_news()
        else:
            self._news.within(max(0.0, self._told_at + NEWS - self._clock()))

    def _tell_news(self) -> None:
        self._news.cancel()
        self._told_at = self._clock()
        self._announce()

    def _look_again(self) -> None:
        self._look.within(LOOK)
        self._see_the_key()
        if self._members.changed():
            try:
                self._see_who_is_gone()
            finally:
                if self._plugin:
                    self._plugin.look()

    def _see_the_key(self) -> None:
        try:
            renewed = self._voice.renewed()
        except TrustError as error:
            log.error("%s", error.message)  # noqa: TRY400 -- a file that somebody has changed
            return
        if renewed:
            key = self._voice.key.public.short
            log.info("The federation has a new key, %s: devices follow.", key)
            self._announce()

    def _see_who_is_gone(self) -> None:
        gone = self._keeper.look()
        for name in sorted(gone):
            log.warning("%s was shut out, or has another key: its update is dropped.", name)
        self._leaving |= gone
        self._tell_who_is_gone()

    def _tell_who_is_gone(self) -> None:
        full: StorageError | None = None
        for name in sorted(self._leaving):
            try:
                self._gone(name)
            except StorageError as error:
                full = error
            else:
                self._leaving.remove(name)
        if full:
            self._tell_again.within(_RETRY)
            raise full
