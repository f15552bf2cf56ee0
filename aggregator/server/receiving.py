"""Updates from their offer to the moment they count: received, made durable, checked, entered.

Everything here runs in the service's loop but for :meth:`Receiving.chunk`; what takes long is given
to two workers, and its outcome comes back to the loop.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from aggregator.ledger import CheckedUpdate
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Step
from aggregator.server.admission import refusal
from aggregator.server.inbox import Inbox
from aggregator.server.rejections import Rejections
from aggregator.server.secure_stages import SecureStages
from aggregator.server.upload import SLOWEST, SOON, Upload, check_update, damage
from shared.errors import ChorusError, ProtocolError, StorageError
from shared.loop import Action, Loop, Worker
from shared.protocol.frames import Chunk
from shared.protocol.messages import Accepted, Message, Offer, Received, Refused
from shared.protocol.part_file import PartFile
from shared.protocol.ranges import Ranges

log = logging.getLogger(__name__)

_LOOK_AFTER: Final = 10.0
"""Seconds after which uploads are looked at again while others wait for their turn."""

_TOO_SLOW: Final = (
    f"Its update came slower than {SLOWEST / 1024:g} KiB a second while others waited: "
    "it goes on after them."
)


class Receiving:
    """Receives updates and counts them.

    Parameters
    ----------
    federation
        Whose updates.
    rejections
        Where it is said what is wrong with clients.
    loop
        What it stands on; a worker of its own makes durable what has arrived.
    arithmetic
        Checks what is complete; meanwhile the other goes on for other clients.
    reply
        Sends a message to a client.
    counted
        Told what the rules say after an update has counted.
    later
        Does something again when a full disk may have room.
    stages
        Takes masked updates, where rounds are secure.
    """

    def __init__(
        self,
        federation: Federation,
        rejections: Rejections,
        *,
        loop: Loop,
        arithmetic: Worker,
        reply: Callable[[str, Message], None],
        counted: Callable[[Step], None],
        later: Callable[[Action], None],
        stages: SecureStages | None = None,
    ) -> None:
        self._federation = federation
        self._rejections = rejections
        self._loop = loop
        self._clock = loop.clock
        self._disk = loop.worker("disk")
        self._arithmetic = arithmetic
        self._reply = reply
        self._counted = counted
        self._later = later
        self._stages = stages
        self._inbox = Inbox(federation.folder.uploads, federation.settings.chunk, self._disk.submit)
        self._looked = self._clock()
        self._flush_all = loop.deadline(partial(self._flush, everything=True))
        loop.watch(lambda: self._look_at, self.admit)

    @property
    def _look_at(self) -> float | None:
        """When to look for places again even if nothing happens."""
        return self._looked + _LOOK_AFTER if self._inbox.waiting else None

    def offer(self, client: str, offer: Offer) -> None:
        """Answer an offer: it counts already, will not count, or may be sent.

        Raises
        ------
        StorageError
            If the disk is full; the client will offer again.
        """
        ledger = self._federation.ledger
        known = ledger.update(offer.round, client)
        if known is not None and known.digest == offer.update and offer.run == ledger.run:
            self._reply(client, Accepted(update=offer.update))
        elif offer.counted:
            self._refuse(client, offer, _forgotten(offer))
        elif self._stages and self._stages.received(client, offer):
            pass
        elif refused := refusal(self._federation, client, offer):
            self._refuse(client, offer, refused)
        elif self._inbox.tires(client, offer.update):
            sentence = "This client has offered too many different updates in this round."
            refused = Refused(update=offer.update, reason="unwelcome", sentence=sentence)
            self._refuse(client, offer, refused)
        else:
            for upload in self._inbox.offer(client, offer, self._clock()):
                self._acknowledge(upload)
            self._flush()

    def chunk(self, client: str, frame: bytes) -> bool:
        """Take a piece of an update, in the network's thread: in the loop it would cost twice.

        One that nobody awaits is left aside, and so is what is wrong, or finds the disk full: its
        client will send it again.

        Returns
        -------
        bool
            Whether it is of an update that was offered, in this round or the last one, and nothing
            is wrong with it.
        """
        try:
            chunk = Chunk.decode(frame)
            self._check_whole(client, chunk)
            within = self._inbox.chunk(client, chunk, self._clock())
            if within is not None:
                self._loop.put(partial(self._flush_within, within))
        except ChorusError as error:
            self._rejections.about(client, error.message)
            return False
        update = chunk.digest
        return bool(self._inbox.find(client, update)) or self._inbox.is_late(client, update)

    def _acknowledge(self, upload: Upload) -> None:
        """Say what is safe, in whole chunks: an earlier process may have had others."""
        received = self._inbox.received(upload)
        safe = Ranges(received.ranges).whole(self._federation.settings.chunk, upload.offer.size)
        self._reply(upload.client, received.model_copy(update={"ranges": list(safe)}))

    def _check_whole(self, client: str, chunk: Chunk) -> None:
        """Raise unless a piece is a whole chunk: those of a byte would cost a range each."""
        upload, size = self._inbox.find(client, chunk.digest), self._federation.settings.chunk
        if upload and not chunk.is_whole(size, upload.offer.size):
            raise ProtocolError(f"A piece of its update is no whole chunk of {size} bytes.")

    def suspend(self, client: str) -> None:
        """Learn that a client is gone: others may have its place."""
        self._inbox.suspend(client)
        self.admit()

    def drop(self, client: str) -> None:
        """Forget what a client has under way: it was shut out."""
        self._inbox.drop(client)
        self.admit()

    def admit(self) -> None:
        """Let those in whose turn it is; who has brought too little meanwhile makes room."""
        self._looked = self._clock()
        for upload in self._inbox.make_room(self._looked):
            # A window of 0: its turn comes again.
            self._acknowledge(upload)
            self._rejections.about(upload.client, _TOO_SLOW)
        for upload in self._inbox.admit(self._looked):
            self._acknowledge(upload)
        self._flush()

    def clear(self) -> None:
        """Forget everything: the round is over."""
        self._inbox.clear()

    def close(self) -> None:
        """Let go of all files, after the workers have ended; what arrived stays."""
        self._inbox.close()

    def _flush_within(self, seconds: float) -> None:
        if seconds:
            self._flush_all.within(seconds)
        else:
            self._flush()

    def _flush(self, *, everything: bool = False) -> None:
        """Make durable what is due, or when its time has come everything that has arrived."""
        for upload in self._inbox.to_flush(everything=everything):
            done, failed = partial(self._flushed, upload), partial(self._not_flushed, upload)
            self._disk.do(upload.flush, done, failed)

    def _flushed(self, upload: Upload, safe: int) -> None:
        upload.end_flush()
        self._federation.ledger.see(upload.client, bytes_up=safe - upload.told)
        upload.told = safe
        if upload.state in ("receiving", "arrived"):
            self._acknowledge(upload)
            if upload.complete:
                self._check(upload)
        if upload.fresh:
            self._flush_within(SOON)
        self._flush()

    def _not_flushed(self, upload: Upload, error: ChorusError) -> None:
        """Let go of what a full disk did not take: the client is told anew what is safe."""
        upload.end_flush(failed=True)
        log.error("%s", error.message)

        def tell() -> None:
            if upload.placed:
                self._acknowledge(upload)

        self._later(tell)

    def _check(self, upload: Upload) -> None:
        """Check an update that has arrived whole."""
        settings, part = self._federation.settings, upload.part
        if part is None:
            raise ValueError("an upload that is complete has a file")
        self._inbox.check(upload)
        if self._stages:
            take = partial(_take_masked, self._stages, upload, part)
            self._arithmetic.do(
                take, partial(self._masked, upload), partial(self._not_checked, upload)
            )
            return
        check = partial(
            check_update,
            part,
            upload.offer,
            self._federation.architecture,
            self._federation.extra_vectors,
            largest_norm=settings.largest_norm,
        )
        done, failed = partial(self._checked, upload), partial(self._not_checked, upload)
        self._arithmetic.do(check, done, failed)

    def _masked(self, upload: Upload, refused: Refused | None) -> None:
        """Learn what became of a masked update: it is in the round's journal, or was refused."""
        client, offer = upload.client, upload.offer
        with self._letting_go(upload):
            if upload.state != "checking":
                return  # it was dropped meanwhile
            if refused:
                self._refuse(client, offer, refused)
            else:
                self._inbox.end(upload, "dropped")
                ranges = [(0, offer.size)]
                self._reply(client, Received(update=offer.update, ranges=ranges, window=0))

    def _not_checked(self, upload: Upload, error: ChorusError) -> None:
        """Keep what the disk did not let be read; it is checked when the client asks again."""
        with self._letting_go(upload):
            if upload.state == "checking":  # else it was dropped, and its file is gone
                log.error("%s", error.message)

    def _checked(self, upload: Upload, outcome: float | Refused) -> None:
        """Count an update that was checked, if it still may count."""
        client, offer = upload.client, upload.offer
        with self._letting_go(upload):
            if upload.state != "checking":
                return  # it was dropped meanwhile
            if isinstance(outcome, Refused):
                self._refuse(client, offer, outcome)
            elif refused := refusal(self._federation, client, offer):
                self._refuse(client, offer, refused)
            else:
                self._count(upload, norm=outcome)

    @contextmanager
    def _letting_go(self, upload: Upload) -> Iterator[None]:
        """Let go of an update that was checked, whatever the disk takes, and let others in.

        What nothing came of is kept, to be checked when its client offers it again.
        """
        try:
            yield
        finally:
            if upload.state == "checking":
                self._inbox.end(upload, "dropped", keep=True)
            self._inbox.let_go(upload)
            self.admit()

    def _count(self, upload: Upload, *, norm: float) -> None:
        """Make an update count, for good, and tell its client."""
        client, offer = upload.client, upload.offer
        try:
            self._enter(upload, norm=norm)
        except StorageError as error:
            # The client hears nothing, and offers it again.
            log.error("%s", error.awaited)  # noqa: TRY400 -- a full disk
            self._inbox.end(upload, "dropped", keep=True)
            return
        self._inbox.end(upload, "counted")
        self._reply(client, Accepted(update=offer.update))
        rounds = self._federation.rounds
        step = rounds.accept(client)
        count = f"{len(rounds.counted)} of {rounds.wanted}"
        log.info("Round %d: accepted the update of %s (%s).", offer.round, client, count)
        self._counted(step)

    def _enter(self, upload: Upload, *, norm: float) -> None:
        """Move an update's file to its place, and write it down."""
        client, offer = upload.client, upload.offer
        part, upload.part = upload.part, None
        if part is not None:
            part.keep(self._federation.folder.update(offer.round, client))
        self._federation.ledger.accept(
            CheckedUpdate(
                round=offer.round,
                client=client,
                digest=offer.update,
                bytes=offer.size,
                codec=offer.codec,
                examples=offer.examples,
                norm=norm,
                loss=offer.loss,
                confusion=offer.confusion,
            )
        )

    def _refuse(self, client: str, offer: Offer, refused: Refused) -> None:
        # An old offer that is repeated does not cost the client what it is sending now.
        if upload := self._inbox.find(client, offer.update):
            self._inbox.end(upload, "refused")
        self._reply(client, refused)
        try:
            if self._rejections.about(client, refused.sentence):
                self._federation.ledger.refuse(
                    client, refused.reason, refused.sentence, offer.round, offer.update
                )
        finally:
            self.admit()


def _take_masked(stages: SecureStages, upload: Upload, part: PartFile) -> Refused | None:
    """Give a masked update that has arrived whole to its round, in the worker."""
    return damage(part) or stages.take(upload.client, upload.offer.update, part.path)


def _forgotten(offer: Offer) -> Refused:
    """Tell a client that its update, which counted, does so no more."""
    sentence = (
        f"It counted in round {offer.round}, and this ledger does not have it: the aggregator was "
        "put back to an earlier state. The client takes part in the round again."
    )
    return Refused(update=offer.update, reason="forgotten", sentence=sentence)
