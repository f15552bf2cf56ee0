"""The training engine of a device: gradients by a TFLite graph, the optimiser in NumPy."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import OptimizerState
from edge_client.tflite.checks import check_batch, check_memory
from edge_client.tflite.optimisers import IN_CACHE, make_optimiser, room
from shared.architectures import DROPOUT, Architecture
from shared.emotions import EMOTIONS
from shared.tflite import (
    MASK_UNIT,
    Session,
    load_weights,
    mask_inputs,
    packaged_file,
    physical_cores,
    weight_places,
)
from shared.training import TrainingSettings
from shared.weights import Weights, check_weights, pieces

_DROPPED: Final = round(DROPOUT * 65536)
"""A unit is dropped if its 16 random bits are below this."""

_WORTH_A_THREAD: Final = 4
"""Pieces of the weights for which another thread is worth its start."""

_Task = tuple[Weights, Weights, slice]
"""A piece of the weights, of the gradient, and where they lie in the flat vector."""


class TfliteEngine:
    """An :class:`~edge_client.learning.training.Engine` that computes with a TFLite runtime.

    The weights lie in the runtime's own buffers, where the optimiser changes them in place. With
    head-only training the optimiser's slots cover the head alone.

    Parameters
    ----------
    architecture
        Which.
    threads
        Threads of the runtime and of the optimiser; the physical cores if not given.
    """

    def __init__(self, architecture: Architecture, *, threads: int | None = None) -> None:
        self.architecture = architecture
        self._threads = threads or physical_cores()
        self._training: _Training | None = None
        self._scoring: Session | None = None

    def begin(
        self,
        weights: Weights,
        settings: TrainingSettings,
        *,
        anchor: Weights,
        correction: Weights | None = None,
        optimizer: OptimizerState | None = None,
    ) -> None:
        """Take over weights and optimiser state for the steps to come.

        Vectors are kept as they are, not copied: they must not change while steps are taken.

        Raises
        ------
        WeightsError
            If a vector does not belong to the architecture or is not finite.
        TrainingError
            If there is not enough memory.
        """
        check_weights(weights, self.architecture, "The weights to train")
        if anchor is not weights:
            check_weights(anchor, self.architecture, "The global weights")
        if correction is not None:
            check_weights(correction, self.architecture, "The correction")
        training = _Training(
            self.architecture, settings, weights, anchor, correction, optimizer, self._threads
        )
        session: Session | None = None
        if self._training is not None and self._training.signature == training.signature:
            session = self._training.release()
        else:
            check_memory(self.architecture, settings)
        self._training = training
        training.open(session)

    def step(self, features: NDArray[np.float32], labels: NDArray[np.int32], seed: int) -> float:
        """Take one optimiser step and return the batch's mean loss.

        A batch larger than the graph's is computed in several turns. If the loss is not finite,
        the weights stay as they were.

        Raises
        ------
        TrainingError
            If features or labels are not what the model takes; nothing has changed then.
        """
        check_batch(features, labels)
        return self._begun().step(features, labels, seed)

    def weights(self) -> Weights:
        """Copy out the weights as they are now."""
        return self._begun().weights()

    def optimizer(self) -> OptimizerState:
        """Give the optimiser's state as it is now; it is copied only if another step is taken."""
        return self._begun().state()

    def logits(self, weights: Weights, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits of shape ``(n, 4)`` for features of shape ``(n, 100, 34)``.

        Raises
        ------
        WeightsError
            If the weights do not belong to the architecture or are not finite.
        """
        check_weights(weights, self.architecture)
        if self._scoring is None:
            self._scoring = _open(self.architecture, "train_head", self._threads)
            _fill_masks(self._scoring, None)
            self._scoring.view("targets").fill(0)
        session = self._scoring
        load_weights(session, weights)
        size = session.inputs["features"][0]
        result = np.empty((len(features), len(EMOTIONS)), np.float32)
        for start in range(0, len(features), size):
            batch = features[start : start + size]
            session.view("features")[: len(batch)] = batch
            session.run()
            result[start : start + size] = session.view("logits")[: len(batch)]
        return result

    def release(self) -> None:
        """Give back the memory of training and scoring, for what comes next on a small device.

        What has not been taken out before is gone. A later ``begin`` or ``logits`` sets memory
        aside anew.
        """
        self._training = self._scoring = None

    def _begun(self) -> "_Training":
        if self._training is None:
            raise ValueError("the training has not begun")
        return self._training


class _Training:
    """The steps of one round: a session, the part of the vector that is trained, an optimiser."""

    def __init__(
        self,
        architecture: Architecture,
        settings: TrainingSettings,
        start: Weights,
        anchor: Weights,
        correction: Weights | None,
        state: OptimizerState | None,
        threads: int,
    ) -> None:
        state = state or OptimizerState()
        self._architecture, self._settings, self._threads = architecture, settings, threads
        self._start, self._anchor, self._correction = start, anchor, correction
        self._step = state.step
        self._first = architecture.head_offset if settings.head_only else 0
        trained = architecture.parameters - self._first
        self._optimiser = make_optimiser(settings, trained, state.slots)
        self.signature = _signature(settings)
        self._opened: Session | None = None
        self._lent = False
        self._left: Weights = start[self._first :]

    def open(self, session: Session | None = None) -> Session:
        """Give the session, with the weights in it; an earlier one is used if given."""
        if self._opened is None:
            session = session or _open(self._architecture, self.signature, self._threads)
            self._places = {
                name: where
                for name, where in weight_places(session).items()
                if f"{name}_gradient" in session.outputs
            }
            load_weights(session, self._start)
            for name, where in self._places.items():
                left = self._left[where.start - self._first : where.stop - self._first]
                session.view(name).reshape(-1)[:] = left
            self._opened = session
        return self._opened

    def release(self) -> Session | None:
        """Let go of the session."""
        session, self._opened = self._opened, None
        return session

    def step(self, features: NDArray[np.float32], labels: NDArray[np.int32], seed: int) -> float:
        session = self.open()
        bits = np.random.PCG64(seed) if self._settings.dropout else None
        size, count = session.inputs["features"][0], len(labels)
        loss = 0.0
        total: Weights | None = None
        for start in range(0, count, size):
            part = slice(start, start + size)
            _fill_batch(session, features[part], labels[part], 1 / count)
            _fill_masks(session, bits)
            session.run()
            loss += float(session.view("loss")[0])
            if count > size:
                gradient = self._gather(session, "_gradient")
                total = gradient if total is None else np.add(total, gradient, out=total)
        if np.isfinite(loss):
            self._update(session, total)
        return loss

    def _gather(self, session: Session, suffix: str = "") -> Weights:
        """Copy out the part that is trained, or its gradient."""
        views = [session.view(f"{name}{suffix}") for name in self._places]
        return np.concatenate([view.reshape(-1) for view in views])

    def _update(self, session: Session, total: Weights | None) -> None:
        """Take the optimiser's step; from ``total`` instead of the outputs, if it is given."""
        self._step += 1
        if self._lent:
            slots = self._optimiser.slots
            self._optimiser.slots = {name: slot.copy() for name, slot in slots.items()}
            self._lent = False
        self._optimiser.begin_step(self._step)
        tasks: list[_Task] = []
        for name, where in self._places.items():
            weights = session.view(name).reshape(-1)
            gradient = session.view(f"{name}_gradient").reshape(-1)
            if total is not None:
                gradient = total[where.start - self._first : where.stop - self._first]
            for piece in pieces(where, IN_CACHE):
                here = slice(piece.start - where.start, piece.stop - where.start)
                tasks.append((weights[here], gradient[here], piece))
        count = min(self._threads, -(-len(tasks) // _WORTH_A_THREAD))
        if count == 1:
            self._sweep(tasks)
            return
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(self._sweep, [tasks[n::count] for n in range(count)]))

    def _sweep(self, tasks: list[_Task]) -> None:
        """Change the weights of these pieces; different pieces do not touch each other."""
        spare = room()
        for weights, gradient, where in tasks:
            # FedProx's term mu (w - anchor), and SCAFFOLD's c - c_i.
            if self._settings.proximal:
                pull = weights - self._anchor[where]
                pull *= np.float32(self._settings.proximal)
                np.add(gradient, pull, out=gradient)
            if self._correction is not None:
                np.add(gradient, self._correction[where], out=gradient)
            slots = slice(where.start - self._first, where.stop - self._first)
            self._optimiser.update(weights, gradient, slots, spare)

    def weights(self) -> Weights:
        trained = self._gather(self.open())
        if not self._first:
            return trained
        # The runtime's copy of the body goes before the caller's is made: there is room for one.
        self._left = trained
        self.release()
        return np.concatenate([self._start[: self._first], trained])

    def state(self) -> OptimizerState:
        self._lent = True
        return OptimizerState(self._step, dict(self._optimiser.slots))


def _signature(settings: TrainingSettings) -> str:
    return "train_head" if settings.head_only else "train"


def _open(architecture: Architecture, signature: str, threads: int) -> Session:
    return Session(packaged_file(architecture, signature), signature, threads)


def _fill_batch(
    session: Session, features: NDArray[np.float32], labels: NDArray[np.int32], weight: float
) -> None:
    """Fill in examples, each with its weight in the mean loss; places left over count zero."""
    inputs, targets = session.view("features"), session.view("targets")
    inputs[: len(features)] = features
    inputs[len(features) :] = 0
    targets.fill(0)
    targets[np.arange(len(labels)), labels] = weight


def _fill_masks(session: Session, bits: np.random.PCG64 | None) -> None:
    """Draw the dropout masks."""
    for name in mask_inputs(session):
        _draw(session.view(name), bits)


def _draw(mask: NDArray[Any], bits: np.random.PCG64 | None) -> None:
    """Fill a mask: zero where a unit is dropped, the inverse of the rate kept elsewhere.

    Without bits nothing is dropped.
    """
    one = 1 / MASK_UNIT if mask.dtype == np.int8 else 1
    if bits is None:
        mask.fill(one)
        return
    kept = mask.dtype.type(one / (1 - DROPOUT))
    flat = mask.reshape(-1)
    for piece in pieces(flat.size, IN_CACHE):
        part = flat[piece]
        drawn = bits.random_raw(-(-part.size // 4)).view(np.uint16)[: part.size]
        np.copyto(part, drawn >= _DROPPED)
        part *= kept
