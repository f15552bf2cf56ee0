"""A federation as it lies on the disk, taken up where it was; without network."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from aggregator.enrolment.voice import Voice
from aggregator.ledger import Counts, Ledger, Model, UpdateRecord, Version
from aggregator.ledger.charges import spent_if_lost, spent_with_one_more
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.ledger.rollback import kept_model
from aggregator.rounds.aggregation import next_model, read_updates
from aggregator.rounds.first_model import as_begun, enter_first, first_model
from aggregator.rounds.scoring import mean_training_loss, summed_confusion
from aggregator.rounds.secure_rounds import OpenRound, SecureRounds
from aggregator.rounds.synchronous import Closed, Interrupted, Opened, Step, SynchronousRounds
from aggregator.settings import AggregatorSettings
from aggregator.strategies.privacy import Private, PrivateMean
from aggregator.strategies.ring_sum import RingSum
from aggregator.strategies.settings import private_mean_of, strategy_of
from shared.architectures import architecture_of
from shared.codecs import make_codec
from shared.errors import SecureError, TrainingError, WeightsError
from shared.features.start_file import load_start
from shared.features.statistics import Start
from shared.model_notes import load_notes
from shared.trust.keys import PublicKey
from shared.weights import Weights

log = logging.getLogger(__name__)

Validate = Callable[[Weights], Counts]
"""Counts what a model recognises in the validation corpus."""


class Federation:
    """The state of a federation: its ledger, its models, and its rounds.

    Parameters
    ----------
    settings
        What it is begun, or gone on, with.
    clock
        Gives the time, in seconds since 1970; for tests.

    Attributes
    ----------
    settings, folder, architecture
        What it is.
    secure
        Its secure rounds, where it has such.
    validate
        Scores each new model; ``None``, unless somebody sets it, if there is nothing to do it with.
    extra_vectors
        What the strategy asks clients to send besides the difference of their weights.
    ledger, files
        Where it is written down.
    voice
        What signs in its name.
    rounds
        Its rounds, as an earlier process left them; :meth:`Rounds.start` has not been called.
    current
        The current version of the global model.

    Raises
    ------
    SettingsError
        If the strategy, a codec or the model does not exist or lacks something.
    FederationError
        If another process serves it, it was begun with other settings, it is damaged, or ledger and
        models do not belong together.
    TrustError
        If the key that it signs with cannot be used.
    WeightsError
        If the weights to start from, or what lies beside them, cannot be used.
    StorageError
        If the disk is full or the folder cannot be written.
    """

    def __init__(
        self,
        settings: AggregatorSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # Without what a class that combines settings has besides, such as the broker's.
        self.settings = settings = settings.part(AggregatorSettings)
        self.extra_vectors = strategy_of(settings, settings.clients).extra_vectors
        for name in settings.codecs:
            make_codec(name)
        self.architecture = architecture_of(settings.model, settings.task)
        self.folder = FederationFolder(settings.folder)
        self.files = ModelFiles(self.folder.models, self.architecture)
        self.secure: SecureRounds | None = None
        self._mean: PrivateMean | None = None
        if settings.secure:
            self.secure = SecureRounds(settings, self.folder, self.files)
        else:
            clients = settings.clients_per_round or 1
            self._mean = private_mean_of(settings, clients, self.architecture)
            if self._mean:
                self._mean.check_can_learn()
        self.validate: Validate | None = None
        self._clock = clock
        self.ledger = Ledger(self.folder.ledger, clock)
        try:
            versions = self.ledger.versions(settings.keep_models)
            first = None
            if not versions:
                first, self.files.notes = first_model(settings, self.architecture)
            # Before anything is entered or tidied: what is there may be worth more than a ledger.
            self.files.check_ledger(versions, first)
            if first is None:
                self.settings = settings = as_begun(settings, self.ledger, self.architecture)
            self.ledger.begin(settings)
            if first is None:
                self.current = versions[0]
            else:
                self.current = enter_first(first, settings.initial, self.files, self.ledger)
            self.files.notes = load_notes(self.files.path(self.current.digest))
            self.voice = Voice(self.folder)
            self.rounds = self._taken_up()
            self.rounds.paused = self.ledger.paused
            self._tidy()
        except BaseException:
            self.ledger.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def start(self) -> Start | None:
        """What devices' statistics begin with, if the federation hands that out."""
        named = self.current.statistics
        return load_start(self.files.path(named), self.architecture.task) if named else None

    @property
    def private(self) -> Private | None:
        """What says how much noise there is, where there is a privacy budget."""
        return self.secure.noise if self.secure else self._mean

    def close(self) -> None:
        """Write what is left and let go of the folder."""
        if self.secure:
            self.secure.end()()
        self.ledger.close()

    def open_round(self, opened: Opened) -> None:
        """Enter a round that is to be announced; safe on return."""
        settings = self.settings.model_dump(mode="json")
        settings |= self.settings.announced(opened.number).model_dump(mode="json")
        self.ledger.open_round(opened.number, opened.invited, opened.wanted, settings)

    def close_round(self, closed: Closed) -> Version | None:
        """Aggregate a round and make its model current; safe on return.

        Takes seconds for large models: call it in a thread, one at a time.

        Returns
        -------
        Version or None
            The new version; ``None`` if the updates could not be aggregated, or the journal of a
            secure round is of no use: the round was abandoned, its record says why, and the model
            stays as it is.

        Raises
        ------
        FederationError
            If a model's file is damaged.
        StorageError
            If the disk is full. Called again, or by the next process, it does the same work.
        """
        number, begun = closed.number, time.perf_counter()
        if self.secure:
            try:
                self._enter_masked(self.secure, number)
            except SecureError as error:
                self.give_up(number, error.message, known=True)
                return None
        self.ledger.close_round(number)
        updates = self.ledger.updates(number)
        if tuple(update.client for update in updates) != closed.counted:
            raise ValueError(f"round {number}: the ledger has other updates than were counted")
        vectors = read_updates(updates, self.folder, self.architecture, self.extra_vectors)
        found = self.secure.sum() if self.secure else None
        try:
            model, remarks = next_model(
                self.settings,
                number,
                self.current,
                vectors,
                [update.examples for update in updates],
                self.files,
                self._mean,
                found,
            )
            model = self._validated(model)
        except (TrainingError, WeightsError) as error:
            self.give_up(number, error.message, known=True)
            return None
        self.current = self.ledger.finish_round(
            number,
            model,
            loss=self._loss(updates, found),
            confusion=self._confusion(updates, found),
            seconds=time.perf_counter() - begun,
            note=" ".join(remarks),
            spent=self._spent(),
        )
        for remark in remarks:
            log.warning("Round %d: %s", number, remark)
        self._tidy()
        return self.current

    def give_up(self, number: int, why: str, *, known: bool) -> None:
        """Enter that a round gets no model; safe on return. :attr:`rounds` has to be told.

        Parameters
        ----------
        number
            The round.
        why
            What its record says.
        known
            Whether its secure sum is known, or may be: with devices' noise it is charged. Who has
            seen it has seen it, with a model or without one.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        self.ledger.abandon_round(number, why, spent=spent_if_lost(self.ledger) if known else None)
        self._tidy()

    def secure_round(self, number: int, keys: Mapping[str, PublicKey]) -> OpenRound:
        """Make the secure part of a round that was entered, or make it again, in a worker.

        Raises
        ------
        SecureError
            If its journal is of no use, or none of its devices is a member any more: it is lost.
        FederationError
            If a model's file is damaged.
        StorageError
            If the disk is full.
        """
        if self.secure is None:
            raise ValueError("its rounds are not secure")
        return self.secure.read(self.ledger.run, number, self.current, keys)

    def withdraw(self, client: str) -> Step:
        """Let a client take part in the open round no more; safe on return.

        If nobody is left, the round is abandoned in the ledger: :attr:`rounds` has to be told.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        rounds = self.rounds
        if rounds.phase != "open" or client not in rounds.invited:
            return None
        left = rounds.invited - {client}
        self.ledger.withdraw(rounds.number, client, sorted(left))
        self.folder.update(rounds.number, client).unlink(missing_ok=True)
        return rounds.withdraw(client)

    def pause(self, *, paused: bool) -> None:
        """Let no round open, or let them open again; safe on return, and so after a restart.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        self.ledger.pause(paused=paused)
        self.rounds.paused = paused

    def roll_back(self, number: int, *, known: bool = True) -> Version:
        """Make the model after round ``number`` current again; safe on return.

        A round under way is abandoned as by :meth:`give_up`: :attr:`rounds` has to be told.

        Raises
        ------
        FederationError
            If there is no such model, or its files are no longer kept, or damaged.
        StorageError
            If the disk is full.
        """
        to = kept_model(self.ledger, number)
        self.current = self.ledger.roll_back(
            to, spent=spent_if_lost(self.ledger) if known else None
        )
        self._tidy()
        return self.current

    def _taken_up(self) -> SynchronousRounds:
        """Restore the rounds from the ledger."""
        last = self.ledger.last_round()
        if last is None:
            return SynchronousRounds(self.settings)
        since_opened = self._clock() - last.opened
        if last.state in ("done", "abandoned"):
            return SynchronousRounds(self.settings, last.number, since_opened=since_opened)
        interrupted = Interrupted(
            last.number,
            frozenset(last.invited),
            last.wanted,
            frozenset(update.client for update in self.ledger.updates(last.number)),
            closed=last.state == "closed",
        )
        return SynchronousRounds(self.settings, last.number - 1, interrupted, since_opened)

    def _enter_masked(self, secure: SecureRounds, number: int) -> None:
        """Enter whose masked updates are in the sum of a round."""
        if secure.round is None:  # it was closed by an earlier process
            secure.begin(self.secure_round(number, {}))
        for update in secure.survivors(number):
            if self.ledger.update(number, update.client) is None:
                self.ledger.accept(update)

    def _loss(self, updates: Sequence[UpdateRecord], found: RingSum | None) -> float | None:
        if found is None:
            return mean_training_loss(updates)
        return None if math.isnan(found.loss) else found.loss

    def _confusion(self, updates: Sequence[UpdateRecord], found: RingSum | None) -> Counts | None:
        if found is None:
            return summed_confusion(updates, self.settings.most_examples)
        counts: Counts = found.confusion.tolist()
        return counts if found.confusion.any() else None

    def _spent(self) -> float | None:
        """Say what the privacy budget will have been spent of with one more sum or model."""
        return spent_with_one_more(self.ledger, self.private.budget) if self.private else None

    def _validated(self, model: Model) -> Model:
        """Score a new model on the validation corpus, if there is one."""
        if self.validate is None:
            return model
        counts = self.validate(self.files.weights(model.average or model.digest))
        return replace(model, validation=counts)

    def _tidy(self) -> None:
        """Remove files that are needed no more, and what a killed process has left."""
        kept: dict[str, set[str]] = {}
        for version in self.ledger.versions(self.settings.keep_models):
            kept.setdefault(version.digest, set()).update(version.files)
        self.files.keep(set().union(*kept.values()))
        last = self.ledger.last_round()
        under_way = str(last.number) if last and last.ended is None else ""
        if self.folder.updates.exists():
            for path in self.folder.updates.iterdir():
                if path.name != under_way:
                    shutil.rmtree(path, ignore_errors=True)
        if self.folder.secure.exists():
            for path in self.folder.secure.iterdir():
                if path.name != under_way:
                    path.unlink(missing_ok=True)
