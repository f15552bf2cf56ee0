"""The secure round of a federation: what is announced of it, its journal, and what its sum says."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aggregator.ledger import Model
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound, members_in
from aggregator.settings import AggregatorSettings
from aggregator.strategies.ring_sum import RingSum, first_octaves, read_sum
from shared.architectures import Architecture
from shared.protocol.messages import Announcement, File
from shared.protocol.secure_offer import SecureOffer
from shared.secure.terms import Stage
from shared.secure_round import CODEC, ring_of, terms_of
from shared.trust.keys import PublicKey

_OCTAVES: Final = "ring.octaves"
"""What a model's memory calls what the next round announces; the simulation's state, too."""


class SecureRounds:
    """Opens secure rounds and reads their sums; one is open at a time.

    Parameters
    ----------
    settings
        The federation's.
    folder, files
        Where journals and models lie.
    architecture
        The model.

    Attributes
    ----------
    offer
        What is announced of the open round; without devices while none is open.
    round
        The open round; ``None`` if none is.
    """

    def __init__(
        self,
        settings: AggregatorSettings,
        folder: FederationFolder,
        files: ModelFiles,
        architecture: Architecture,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._files = files
        self._architecture = architecture
        self._journal: Journal | None = None
        self.round: SecureRound | None = None
        self.offer = self._offer((), {})

    @property
    def summed(self) -> bool:
        """Whether the sum of the open round is there."""
        return self.round is not None and self.round.stage is Stage.DONE

    def open(
        self, run: str, number: int, base: Model, keys: Mapping[str, PublicKey]
    ) -> SecureRound:
        """Open a round, or take it up as an earlier process has left it.

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
        FederationError
            If the journal is damaged, or of another round; or a model's file is damaged.
        StorageError
            If the disk is full.
        """
        path = self._folder.secure_round(number)
        self.offer = self._offer(self._octaves(base), members_in(path) or keys)
        terms = terms_of(self._announced(run, number, base), self.offer, self._architecture)
        self._journal = Journal(path)
        try:
            self.round = SecureRound(terms, keys, self._journal)
        except BaseException:
            self.end()()
            raise
        return self.round

    def sum(self) -> RingSum:
        """Read the sum of the open round, whose stages are over."""
        if self.round is None:
            raise ValueError("no secure round is open")
        clients = len(self.round.survivors)
        return read_sum(self.round.sum, clients, ring_of(self.offer), self._architecture)

    def end(self) -> Callable[[], None]:
        """Let go of the open round, whose journal stays on the disk.

        Returns
        -------
        callable
            Closes the journal: to be called after all that is done to the round.
        """
        journal, self._journal, self.round = self._journal, None, None
        self.offer = self._offer((), {})
        return journal.close if journal else lambda: None

    def _offer(self, octaves: tuple[int, ...], keys: Mapping[str, PublicKey]) -> SecureOffer:
        settings = self._settings
        return SecureOffer(
            bits=settings.ring_bits,
            examples=settings.ring_examples,
            octaves=list(octaves),
            fewest=settings.at_least,
            devices={name: str(key) for name, key in sorted(keys.items())},
        )

    def _announced(self, run: str, number: int, base: Model) -> Announcement:
        """Give what of the round's announcement its terms are made of."""
        settings = self._settings

        def file(digest: str) -> File:
            return File(digest=digest, size=self._files.size(digest))

        return Announcement(
            federation=settings.federation,
            run=run,
            state="open",
            round=number,
            architecture=settings.model,
            task=self._architecture.task,
            model=file(base.digest),
            control=file(base.control) if base.control else None,
            training=settings.announced(number),
            codecs=[CODEC],
            seed=settings.seed,
            secure=self.offer,
        )

    def _octaves(self, base: Model) -> tuple[int, ...]:
        """Say what the numbers of a round that begins with this model mean."""
        found = self._files.arrays(base.memory).get(_OCTAVES) if base.memory else None
        if found is None:
            return first_octaves(self._files.vector(base.digest), self._architecture)
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
