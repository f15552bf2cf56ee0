"""A device's work of one round: from the global model's file to the finished update's file."""

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_client.federation.client_state import ClientState
from edge_client.federation.held_out import hold_out
from edge_client.federation.terms import TermsSettings
from edge_client.learning.client_round import Assignment, Contribution, client_round
from edge_client.learning.summand import summand
from edge_client.learning.training import Engine, Progress
from edge_client.learning.training_file import load_progress, save_progress
from shared.codecs import CODECS, Codec, make_codec
from shared.codecs.ring import RingCodec
from shared.codecs.update_file import EXTRA_VECTORS
from shared.errors import RunError, SettingsError, TrainingError
from shared.protocol.messages import Announcement, Offer
from shared.secure.masks import Numbers
from shared.secure_round import ring_of
from shared.training import Examples
from shared.weights import Weights, load_weights

log = logging.getLogger(__name__)


class MakeEngine(Protocol):
    """Makes what trains an architecture."""

    def __call__(self, architecture: str) -> Engine:
        """Give the engine of this architecture, made once."""
        ...


@dataclass(frozen=True, slots=True)
class Trained:
    """What a device adds to the sum of a secure round, before it is masked.

    Attributes
    ----------
    run, round
        Which round it is of.
    numbers
        Shape ``(ring_size,)``, uint32.
    residual
        What was left out of it; takes effect when it counts.
    learned
        Keys of the examples that it was made of.
    """

    run: str
    round: int
    numbers: Numbers
    residual: Weights | None
    learned: list[int]


@dataclass(frozen=True)
class RoundWork:
    """One client's work in one round.

    Attributes
    ----------
    client
        Its name.
    announcement
        The round.
    examples
        What the device has, normalised.
    holdout
        Share of it that is not trained on.
    client_state
        Where files lie, and what earlier rounds have left.
    engine
        What trains.
    stop
        Asked before each step, with the number of steps taken; true stops the training.
    terms
        What the aggregator may be told.
    """

    client: str
    announcement: Announcement
    examples: Examples
    holdout: float
    client_state: ClientState
    engine: Engine
    stop: Callable[[int], bool]
    terms: TermsSettings

    def run(self) -> Offer | Trained | None:
        """Train, and keep the finished update; that of a secure round is not masked yet.

        Returns
        -------
        Offer, Trained or None
            What to offer, or to mask; ``None`` if it was stopped: what was reached is kept, and
            the next :meth:`run` of the same round goes on to the same update.

        Raises
        ------
        TrainingError
            If the examples cannot be trained on or are too few for the device's terms, or no codec
            is known.
        WeightsError
            If the global model cannot be read.
        StorageError
            If the disk is full.
        """
        trained_on, held_out = hold_out(self.examples, self.holdout)
        # Before a round the examples are only counted: in a folder of clips, others are held out.
        if few := self.terms.too_few_steps(self.announcement.training, len(trained_on)):
            raise TrainingError(
                f"This device does not train in round {self.announcement.round}: {few}.",
                "It takes part once it has more labelled examples, or with other terms.",
            )
        secure = self.announcement.secure
        codec: Codec
        if secure:
            codec = RingCodec(ring_of(secure), self.terms.told(len(trained_on)))
        else:
            codec = make_codec(_known_codec(self.announcement.codecs))
        log.info("Round %d: training on %d examples.", self.announcement.round, len(trained_on))
        # Nothing here keeps what it is given: the memory of the global weights is needed again.
        outcome = client_round(
            self._assignment(trained_on, held_out, codec),
            self.engine,
            self.stop,
            release=True,
        )
        if isinstance(outcome, Progress):
            save_progress(self._progress_file(), outcome, self.engine.architecture)
            return None
        outcome = replace(
            outcome,
            examples=self.terms.told(outcome.examples),
            confusion=None if self.terms.most_counted else outcome.confusion,
        )
        if isinstance(codec, RingCodec):
            return self._trained(outcome, codec)
        return self._offered(outcome, codec)

    def _offered(self, outcome: Contribution, codec: Codec) -> Offer:
        """Write the update, and keep it until the aggregator has decided on it."""
        announcement = self.announcement
        digest, size = self.client_state.write_update(outcome.encoded.write)
        offer = Offer(
            update=digest,
            size=size,
            run=announcement.run,
            round=announcement.round,
            model=announcement.model.digest,
            task=self.engine.architecture.task.digest,
            codec=codec.name,
            examples=outcome.examples,
            loss=outcome.loss,
            confusion=outcome.confusion,
        )
        self.client_state.finish(
            offer,
            residual=outcome.encoded.residual,
            control=outcome.own_control,
            learned=self.examples.numbers.tolist(),
        )
        self._progress_file().unlink(missing_ok=True)
        ready = f"{size} bytes in {codec.name}"
        log.info("Round %d: the update is ready, %s.", announcement.round, ready)
        return offer

    def _assignment(self, trained_on: Examples, held_out: Examples, codec: Codec) -> Assignment:
        """Read from the disk what the round needs."""
        announcement, architecture = self.announcement, self.engine.architecture
        return Assignment(
            client=self.client,
            number=announcement.round,
            seed=announcement.seed,
            weights=load_weights(self.client_state.path(announcement.model.digest), architecture),
            examples=trained_on,
            settings=announcement.training,
            codec=codec,
            held_out=held_out,
            residual=self.client_state.residual(architecture.parameters),
            control=self._control(),
            own_control=self.client_state.control(architecture.parameters),
            progress=self._stopped_before(),
        )

    def _trained(self, outcome: Contribution, codec: RingCodec) -> Trained:
        """Put together what this device adds to a secure round's sum."""
        self._progress_file().unlink(missing_ok=True)
        return Trained(
            run=self.announcement.run,
            round=self.announcement.round,
            numbers=summand(outcome, codec, self.engine.architecture),
            residual=outcome.encoded.residual,
            learned=self.examples.numbers.tolist(),
        )

    def _stopped_before(self) -> Progress | None:
        """Load the progress of this very round, if there is one; others are removed."""
        path = self._progress_file()
        for other in self.client_state.folder.glob("*.training"):
            if other != path:
                other.unlink(missing_ok=True)
        if not path.exists():
            return None
        with suppress(RunError):  # it was damaged: training starts from the global model
            return load_progress(path, self.engine.architecture)
        return None

    def _progress_file(self) -> Path:
        """Name the file of a stopped training after all that determines it."""
        announced = self.announcement
        facts = [
            *(announced.run, str(announced.round), announced.model.digest, str(announced.seed)),
            announced.control.digest if announced.control else "",
            announced.training.model_dump_json(),
            str(len(self.examples)),
            str(self.holdout),
        ]
        named = hashlib.sha256("/".join(facts).encode())
        named.update(np.ascontiguousarray(self.examples.features).data)
        named.update(np.ascontiguousarray(self.examples.labels).data)
        named.update(np.ascontiguousarray(self.examples.numbers).data)  # they say what is held out
        return self.client_state.folder / f"{named.hexdigest()[:32]}.training"

    def _control(self) -> Weights | None:
        """Read the server's control variate, where the round has one."""
        announcement, architecture = self.announcement, self.engine.architecture
        if unknown := set(announcement.extra_vectors) - set(EXTRA_VECTORS):
            raise TrainingError(
                f"The aggregator asks for {min(unknown)}, which this device cannot compute.",
                "Install the same version of chorus-edge on both sides.",
            )
        if "control" not in announcement.extra_vectors:
            return None
        if announcement.control is None:
            return np.zeros(architecture.parameters, np.float32)
        return load_weights(self.client_state.path(announcement.control.digest), architecture)


def _known_codec(names: list[str]) -> str:
    """Choose the first codec that is installed here.

    What an announcement names is looked up, never imported by its module's name: a federation does
    not decide what code runs on a device.
    """
    for name in names:
        if CODECS.has(name):
            try:
                make_codec(name)
            except SettingsError as error:
                log.warning("%s The next one is tried.", error.problem)
            else:
                return name
    raise TrainingError(
        f"The aggregator takes no codec that this device knows: {', '.join(names)[:200]}.",
        "Install the same version of chorus-edge on both sides, and the package of a codec of "
        "your own.",
    )
