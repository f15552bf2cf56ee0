"""A device's part in the open secure round: what it is told, what it says, its masked update."""

import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from edge_client.enrolment.membership import Membership
from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.client_state import ClientState
from edge_client.federation.round_work import Trained
from edge_client.federation.terms import TermsSettings
from edge_client.learning.shared_noise import with_noise
from edge_client.secure.client import SecureClient
from edge_client.secure.given import GivenRounds
from shared.architectures import architecture_of
from shared.errors import ChorusError, SecureError, StorageError
from shared.loop import Loop, Worker
from shared.protocol.messages import Announcement, Offer
from shared.protocol.secure import Declined, kind_of
from shared.secure.masks import Numbers
from shared.secure.sharing import Draw
from shared.secure.terms import Stage
from shared.secure_round import AGGREGATOR_SAYS, CODEC, asked_of, ring_of, terms_of
from shared.storage.files import write_atomically
from shared.trust.keys import PublicKey
from shared.trust.signing import unsigned

log = logging.getLogger(__name__)

_AGAIN: Final = 10.0
"""Seconds until the last word is said again: it, or the answer, may have been lost."""


class SecurePart:
    """Takes this device through one secure round at a time.

    Parameters
    ----------
    membership
        Who it is, and whom it knows; ``None`` if it has not joined by invitation.
    terms
        Its owner's.
    client_state
        Where the masked update is kept until the aggregator has decided on it.
    loop, worker
        What it stands on, and where updates are masked.
    say
        Says a word to the aggregator.
    remark
        Told what is wrong.
    masked
        Told that the masked update is there, to be offered.
    noise
        Where the noise of private rounds comes from; others than the system's entropy are for
        tests.
    """

    def __init__(  # noqa: PLR0913 -- most are the participant's functions
        self,
        membership: Membership | None,
        terms: TermsSettings,
        client_state: ClientState,
        *,
        loop: Loop,
        worker: Worker,
        say: Callable[[bytes], object],
        remark: Callable[[ChorusError], None],
        masked: Callable[[], None],
        noise: Draw = secrets.token_bytes,
    ) -> None:
        self._membership = membership
        self._terms = terms
        self._client_state = client_state
        self._clock = loop.clock
        self._worker = worker
        self._say = say
        self._remark = remark
        self._masked = masked
        self._noise = noise
        self._given: GivenRounds | None = None
        self._announcement: Announcement | None = None
        self._client: SecureClient | None = None
        self._word = b""
        self._again_at: float | None = None
        self._delivery = b""
        self._trained: Trained | None = None
        self._over: tuple[str, int] | None = None
        loop.watch(lambda: self._again_at, self.say_again)

    def announced(self, announced: AnnouncedRound) -> None:
        """Learn what is announced: the part in any other round is over."""
        if announced.invites and announced.key == self._over:
            self._say_so()  # it may be announced by a process that has not heard it
        mine = self._announcement
        if mine is None:
            return
        if announced.key != (mine.run, mine.round) or not announced.invites:
            self._forget()
        elif asked_of(announced.announcement) != asked_of(mine):
            self.give_up(
                SecureError(
                    "What was announced of this secure round has changed.",
                    "This device goes on with the next round.",
                    reason="contradiction",
                )
            )

    def takes(self, announced: AnnouncedRound) -> bool:
        """Say whether this device is to train in a round now; in a secure one, begin its part."""
        if self._over == announced.key:
            return False
        if announced.announcement.secure is None:
            return self._was_never_secure(announced)
        if self._announcement is None:
            self._begin(announced)
        return self._announcement is not None and self._trained is None

    def decline(self, announced: AnnouncedRound) -> None:
        """Take no part in a secure round, or no more."""
        if announced.announcement.secure and self._over != announced.key:
            self._forget()
            self._over = announced.key
            self._say_so()

    def hear(self, payload: bytes) -> bool:
        """Take what the aggregator says, if it is of a stage; say whether it is."""
        message = unsigned(payload)
        stage = AGGREGATOR_SAYS.get(kind_of(message))
        if stage is None:
            return False
        client, announcement = self._client, self._announcement
        if client is None or announcement is None or (stage is Stage.MASKED and self._delivery):
            return True
        try:
            if client.stage is stage:
                self._answer(client, stage, message)
            elif client.misses(stage, message):
                raise _started_anew(announcement.round)
        except ChorusError as error:
            self.give_up(error)
        return True

    def arrived(self, offer: Offer) -> None:
        """Learn that a masked update is there; one that an earlier process made is the last word.

        The secrets of that process are gone: this one can neither sign the survivors nor reveal.
        """
        key, mine = (offer.run, offer.round), self._announcement
        follows = mine is not None and (mine.run, mine.round) == key
        if offer.codec == CODEC and not follows and self._over != key:
            self._end(key, _started_anew(offer.round))

    def trained(self, trained: Trained) -> None:
        """Learn what this device adds; it is masked as soon as the others' shares are there."""
        mine = self._announcement
        if mine and (mine.run, mine.round) == (trained.run, trained.round):
            self._trained = trained
            self._mask()

    def give_up(self, error: ChorusError) -> None:
        """End this device's part in the round that it has begun, if it has: it cannot go on."""
        if mine := self._announcement:
            self._end((mine.run, mine.round), error)

    def say_again(self) -> None:
        """Say the last word again."""
        if self._word:
            self._say(self._word)
            self._again_at = self._clock() + _AGAIN

    def _begin(self, announced: AnnouncedRound) -> None:
        try:
            client = self._client_for(announced.announcement)
            self._announcement, self._client = announced.announcement, client
            self._tell(client.keys())
        except StorageError:
            raise  # it is tried again when there is room
        except ChorusError as error:
            self._end(announced.key, error)

    def _client_for(self, announcement: Announcement) -> SecureClient:
        """Make this device's side of a secure round; raise what keeps it from taking part."""
        offer = announcement.secure
        if offer is None or self._membership is None:
            raise SecureError(
                "This device has not joined by invitation, and secure rounds are for members.",
                "Join with a link of `aggregator invite NAME`.",
                reason="uninvited",
            )
        invited = {name: PublicKey.of(key) for name, key in offer.devices.items()}
        terms = self._terms
        me = self._membership.among(
            invited, terms.fewest_others, terms.most_strangers, announcement.renewed or {}
        )
        architecture = architecture_of(announcement.architecture, announcement.task)
        round_terms = terms_of(announcement, offer, architecture)
        return SecureClient(round_terms, me, self._given_rounds(self._membership))

    def _was_never_secure(self, announced: AnnouncedRound) -> bool:
        """Say whether a plain round is of a run that this device has never masked an update in."""
        announcement = announced.announcement
        try:
            if self._membership:
                given = self._given_rounds(self._membership)
                given.check_plain(announcement.federation, announcement.run)
        except ChorusError as error:
            self._end(announced.key, error)
            return False
        return True

    def _given_rounds(self, membership: Membership) -> GivenRounds:
        """Give what is remembered of rounds, the same for all: one may still be masked for."""
        if self._given is None:
            self._given = GivenRounds(membership.given)
        return self._given

    def _answer(self, client: SecureClient, stage: Stage, message: bytes) -> None:
        match stage:
            case Stage.SHARES:
                self._tell(client.shares(message))
            case Stage.MASKED:
                self._delivery = message
                self._mask()
            case Stage.CONSENT:
                self._tell(client.consent(message))
            case _:
                self._tell(client.reveal(message))

    def _mask(self) -> None:
        """Mask the update, if it and the others' shares are there."""
        client, trained, announcement = self._client, self._trained, self._announcement
        if client and announcement and trained and self._delivery:
            work = partial(self._finish, client, announcement, trained, self._delivery)
            self._worker.do(work, partial(self._finished, client), partial(self._failed, client))

    def _finish(
        self, client: SecureClient, announcement: Announcement, trained: Trained, delivery: bytes
    ) -> None:
        """Mask, and keep what is to be offered; in the worker."""
        numbers = self._with_noise(client, announcement, trained)
        message = client.masked(delivery, numbers)
        digest, size = self._client_state.write_update(lambda path: write_atomically(path, message))
        offer = Offer(
            update=digest,
            size=size,
            run=announcement.run,
            round=announcement.round,
            model=announcement.model.digest,
            task=announcement.task.digest,
            codec=CODEC,
            examples=1,  # how many there were is in the sum
        )
        self._client_state.finish(
            offer, residual=trained.residual, control=None, learned=trained.learned
        )

    def _with_noise(
        self, client: SecureClient, announcement: Announcement, trained: Trained
    ) -> Numbers:
        """Add this device's share of the noise, where the round is a private one."""
        offer = announcement.secure
        if offer is None or not offer.noise:
            return trained.numbers
        architecture = architecture_of(announcement.architecture, announcement.task)
        return with_noise(
            trained.numbers,
            ring_of(offer),
            client.guaranteed,
            first=architecture.head_offset if announcement.training.head_only else 0,
            draw=self._noise,
        )

    def _finished(self, client: SecureClient, _: None) -> None:
        if client is self._client:
            log.info("The update is masked.")
        self._masked()

    def _failed(self, client: SecureClient, error: ChorusError) -> None:
        if client is self._client:
            self.give_up(error)

    def _end(self, key: tuple[str, int], error: ChorusError) -> None:
        self._forget()
        self._over = key
        self._remark(error)
        self._say_so()

    def _say_so(self) -> None:
        """Say that this device's part is over: the others go on without waiting for it."""
        if self._over:
            run, number = self._over
            self._say(Declined(run=run, round=number).encode())

    def _tell(self, word: bytes) -> None:
        self._word = word
        self.say_again()

    def _forget(self) -> None:
        self._announcement = self._client = self._trained = self._again_at = None
        self._word = self._delivery = b""


def _started_anew(number: int) -> SecureError:
    return SecureError(
        f"This device was started anew in the secure round {number}, whose keys were in memory "
        "only: it says no more in this round.",
        "The others go on without it; it takes part in the next round.",
        reason="late",
    )
