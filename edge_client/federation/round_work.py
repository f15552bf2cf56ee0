"""A device's work of one round: from the global model's file to the finished update's file."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_client.federation.client_state import ClientState
from edge_client.learning.training import Engine, Progress, Trained, control_change, train
from edge_client.learning.training_file import load_progress, save_progress
from shared.codecs import CODECS, make_codec
from shared.errors import RunError, TrainingError
from shared.metrics import confusion
from shared.protocol.messages import Announcement, Offer
from shared.randomness import stream
from shared.training import Examples
from shared.update_file import EncodedUpdate, encode_update
from shared.weights import Weights, load_weights

FEWEST_HELD_OUT = 8
"""Examples below which none is held out: their score would say nothing, and training needs them."""


class MakeEngine(Protocol):
    """Makes what trains an architecture."""

    def __call__(self, architecture: str) -> Engine:
        """Give the engine of this architecture, made once."""
        ...


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
    memory
        Where files lie, and what earlier rounds have left.
    engine
        What trains.
    stop
        Asked before each step, with the number of steps taken; true stops the training.
    """

    client: str
    announcement: Announcement
    examples: Examples
    holdout: float
    memory: ClientState
    engine: Engine
    stop: Callable[[int], bool]

    def run(self) -> Offer | None:
        """Train, and keep the finished update.

        Returns
        -------
        Offer or None
            What to offer; ``None`` if it was stopped: what was reached is kept, and the next
            :meth:`run` of the same round goes on to the same update.

        Raises
        ------
        TrainingError
            If the examples cannot be trained on, or no codec is known.
        WeightsError
            If the global model cannot be read.
        StorageError
            If the disk is full.
        """
        announcement = self.announcement
        architecture = self.engine.architecture
        codec = _known_codec(announcement.codecs)
        weights = load_weights(self.memory.path(announcement.model.digest), architecture)
        trained_on, held_out = hold_out(self.examples, self.holdout)
        control, own = self._controls(architecture.parameters)
        outcome = self._train(
            weights, trained_on, None if control is None or own is None else control - own
        )
        self.engine.release()
        if outcome is None:
            return None
        counts = self._confusion(weights, held_out)
        self.engine.release()
        delta = np.subtract(outcome.weights, weights, out=outcome.weights)
        del weights
        change = None
        if control is not None:
            rate = announcement.training.learning_rate
            change = control_change(delta, control, outcome.steps, rate)
        encoded = encode_update(
            delta,
            architecture,
            make_codec(codec),
            stream(announcement.seed, "codec", self.client, announcement.round),
            residual=self.memory.residual(architecture.parameters),
            control=change,
        )
        digest, size = self._write(encoded)
        offer = Offer(
            update=digest,
            size=size,
            run=announcement.run,
            round=announcement.round,
            model=announcement.model.digest,
            task=architecture.task.digest,
            codec=codec,
            examples=len(trained_on),
            loss=outcome.loss,
            confusion=counts,
        )
        after = None
        if own is not None and encoded.control is not None:
            after = own + encoded.control[:]
        self.memory.finish(offer, residual=encoded.residual, control=after)
        self._progress_file().unlink(missing_ok=True)
        return offer

    def _write(self, encoded: EncodedUpdate) -> tuple[str, int]:
        """Write an update to the file that is named by its SHA-256; give that, and its bytes."""
        written = self.memory.folder / "new.update.part"
        encoded.write(written)
        with written.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = written.stat().st_size
        written.replace(self.memory.folder / f"{digest}.update")
        return digest, size

    def _train(
        self, weights: Weights, examples: Examples, correction: Weights | None
    ) -> Trained | None:
        """Train from the global weights, or from where an earlier process has stopped."""
        announcement, architecture = self.announcement, self.engine.architecture
        streams = partial(stream, announcement.seed, "training", self.client, announcement.round)
        outcome = train(
            self.engine,
            self._stopped_before() or weights,
            examples,
            announcement.training,
            streams,
            anchor=weights,
            correction=correction,
            stop=self.stop,
        )
        if isinstance(outcome, Progress):
            save_progress(self._progress_file(), outcome, architecture)
            return None
        return outcome

    def _stopped_before(self) -> Progress | None:
        """Load the progress of this very round, if there is one; others are removed."""
        path = self._progress_file()
        for other in self.memory.folder.glob("*.training"):
            if other != path:
                other.unlink(missing_ok=True)
        if not path.exists():
            return None
        with suppress(RunError):  # it was damaged: training starts from the global model
            return load_progress(path, self.engine.architecture)
        return None

    def _progress_file(self) -> Path:
        """Name the file of a stopped training after all that determines it."""
        facts = [self.announcement.run, str(self.announcement.round), str(len(self.examples))]
        named = hashlib.sha256("/".join(facts).encode())
        named.update(np.ascontiguousarray(self.examples.features).data)
        named.update(np.ascontiguousarray(self.examples.labels).data)
        return self.memory.folder / f"{named.hexdigest()[:32]}.training"

    def _controls(self, parameters: int) -> tuple[Weights | None, Weights | None]:
        """Read SCAFFOLD's control variates, the server's and this client's, where there are any."""
        announcement = self.announcement
        if announcement.strategy != "scaffold":
            return None, None
        zeros = np.zeros(parameters, np.float32)
        control, own = zeros, self.memory.control(parameters)
        if announcement.control is not None:
            path = self.memory.path(announcement.control.digest)
            control = load_weights(path, self.engine.architecture)
        return control, zeros if own is None else own[:]

    def _confusion(self, weights: Weights, held_out: Examples) -> list[list[int]] | None:
        """Count what the global model recognises of the examples held out."""
        if not len(held_out):
            return None
        logits = self.engine.logits(weights, held_out.features)
        counts: list[list[int]] = confusion(
            held_out.labels, logits.argmax(1), len(self.engine.architecture.task.labels)
        ).tolist()
        return counts


def hold_out(examples: Examples, share: float) -> tuple[Examples, Examples]:
    """Divide examples into those to train on and those to score with.

    Which is which follows from each example's key alone, so that one which was trained on is not
    used to score when others come or go. What no person has labelled is only trained on.
    """
    everything = np.arange(len(examples))
    keys = everything if examples.keys is None else examples.keys
    person = keys >= 0
    if not share or person.sum() < FEWEST_HELD_OUT:
        return examples, examples.take(everything[:0])
    held_out = person & np.array([_fraction(key) < share for key in keys.tolist()])
    return examples.take(everything[~held_out]), examples.take(everything[held_out])


def _fraction(key: int) -> float:
    """Give a number from 0 to 1 that depends on nothing but a key."""
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:4], "big") / (1 << 32)


def _known_codec(names: list[str]) -> str:
    for name in names:
        if name in CODECS:
            return name
    raise TrainingError(
        f"The aggregator takes no codec that this device knows: {', '.join(names)[:200]}.",
        "Install the same version of chorus-edge on both sides.",
    )
