"""The secure round of a federation: what is announced of it, its journal, and what its sum says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.ledger import CheckedUpdate, Model
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.rounds.asked import asked
from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound, members_in
from aggregator.settings import AggregatorSettings
from aggregator.strategies.ring_sum import (
    RingSum,
    first_octaves,
    read_private_sum,
    read_sum,
)
from aggregator.strategies.settings import shared_noise_of
from shared.errors import SecureError
from shared.protocol.messages import Announcement
from shared.protocol.secure_offer import SecureOffer
from shared.secure.terms import Stage
from shared.secure_round import CODEC, ring_of, terms_of
from shared.trust.keys import PublicKey

_OCTAVES: Final = "ring.octaves"
"""What a model's memory calls what the next round announces; the simulation's state, too."""


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A secure round that is open.

    Attributes
    ----------
    offer
        What is announced of it.
    round
        Its stages.
    journal
        Where it is written down.
    """

    offer: SecureOffer
    round: SecureRound
    journal: Journal


class SecureRounds:
    """Opens secure rounds and reads their sums; one is open at a time.

    Parameters
    ----------
    settings
        The federation's.
    folder, files
        Where journals and models lie.

    Attributes
    ----------
    noise
        How much noise devices add, where there is a privacy budget.

    Raises
    ------
    SettingsError
        If noise is to be added to sums that have no room for it, or drowns all that is learned.
    """

    def __init__(
        self, settings: AggregatorSettings, folder: FederationFolder, files: ModelFiles
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._files = files
        self._open: OpenRound | None = None
        clients = settings.clients_per_round or 1
        self.noise = shared_noise_of(settings, clients, files.architecture, settings.at_least)
        if self.noise:
            self.noise.check_can_learn()
            self.noise.check_ring(settings.ring_bits, settings.invitations(clients))

    @property
    def offer(self) -> SecureOffer:
        """What is announced of the open round; without devices while none is open."""
        return self._open.offer if self._open else self._offer((), {})

    @property
    def round(self) -> SecureRound | None:
        """The open round; ``None`` if none is."""
        return self._open.round if self._open else None

    def read(self, run: str, number: int, base: Model, keys: Mapping[str, PublicKey]) -> OpenRound:
        """Make a round, or make it again as an earlier process has left it; it takes its time.

        Parameters
        ----------
        run, number
            Which round it is.
        base
            The model that it begins with.
        keys
            The lasting keys of those invited; a journal that was begun has its own.

        Raises
        ------
        SecureError
            If the journal is damaged, or of another round, or nobody takes part: it is lost.
        FederationError
            If a model's file is damaged.
        StorageError
            If the disk is full.
        """
        path = self._folder.secure_round(number)
        devices = members_in(path) or keys
        if not devices:
            raise SecureError(
                f"Nobody takes part in the secure round {number} any more: its devices were shut "
                "out, or its journal is lost.",
                "That round is lost; the next one takes a new number.",
                reason="too-few",
            )
        offer = self._offer(self._octaves(base), devices)
        told = asked(self._settings, self._files, run, number, base, offer)
        terms = terms_of(Announcement(**told, state="open"), offer, self._files.architecture)
        journal = Journal(path)
        try:
            return OpenRound(offer, SecureRound(terms, keys, journal), journal)
        except BaseException:
            journal.close()
            raise

    def begin(self, opened: OpenRound) -> None:
        """Let a round be the open one."""
        self._open = opened

    def survivors(self, number: int) -> list[CheckedUpdate]:
        """List the masked updates that are in the sum of the open round; nothing is known of each.

        Raises
        ------
        SecureError
            If the stages of the round, as its journal has them, are not over: it is lost.
        """
        masked = self.round
        if masked is None or masked.stage is not Stage.DONE:
            raise SecureError(
                f"The journal of the secure round {number} ends before its sum.",
                "That round is lost; the next one takes a new number.",
                reason="damaged",
            )
        return [
            CheckedUpdate(
                round=number,
                client=client,
                digest=masked.masked[client],
                bytes=masked.size,
                codec=CODEC,
                examples=0,
                norm=0.0,
            )
            for client in masked.survivors
        ]

    def sum(self) -> RingSum:
        """Read the sum of the open round, whose stages are over."""
        if self._open is None:
            raise ValueError("no secure round is open")
        ring, architecture = ring_of(self._open.offer), self._files.architecture
        total = self._open.round.sum
        if self.noise:
            return read_private_sum(total, self.noise.clients, ring, architecture)
        return read_sum(total, len(self._open.round.survivors), ring, architecture)

    def end(self) -> Callable[[], None]:
        """Let go of the open round, whose journal stays on the disk.

        Returns
        -------
        callable
            Closes the journal: to be called after all that is done to the round.
        """
        ended, self._open = self._open, None
        return ended.journal.close if ended else lambda: None

    def _offer(self, octaves: tuple[int, ...], keys: Mapping[str, PublicKey]) -> SecureOffer:
        settings, noise = self._settings, self.noise
        return SecureOffer(
            bits=settings.ring_bits,
            examples=1 if noise else settings.ring_examples,
            octaves=list(octaves),
            fewest=settings.at_least,
            devices={name: str(key) for name, key in sorted(keys.items())},
            noise=noise.noise if noise else 0,
        )

    def _octaves(self, base: Model) -> tuple[int, ...]:
        """Say what the numbers of a round that begins with this model mean."""
        architecture = self._files.architecture
        if self.noise:
            return self.noise.octaves(architecture)
        found = self._files.arrays(base.memory).get(_OCTAVES) if base.memory else None
        if found is None:
            return first_octaves(self._files.vector(base.digest), architecture)
        return tuple(map(int, found.tolist()))


def with_octaves(
    memory: Mapping[str, NDArray[Any]], found: RingSum | None
) -> dict[str, NDArray[Any]]:
    """Put what the next round announces beside what a strategy remembers."""
    if found is None:
        return dict(memory)
    return {**memory, _OCTAVES: np.array(found.octaves, np.int64)}


def without_octaves(memory: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give what a strategy remembers alone."""
    return {name: array for name, array in memory.items() if name != _OCTAVES}
