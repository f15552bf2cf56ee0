"""The training engine of a device: gradients by a TFLite graph, the optimiser in NumPy."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import OptimizerState
from edge_client.tflite.checks import check_batch, check_memory
from edge_client.tflite.optimisers import IN_CACHE, make_optimiser, room
from shared.architectures import Architecture
from shared.graphs.files import Signature, graph_file
from shared.layers import DROPOUT
from shared.lengths import model_length, padded, shares
from shared.tflite import (
    MASK_UNIT,
    Session,
    fill_weights,
    mask_inputs,
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
    head-only training the optimiser's slots cover the head alone. There is one graph in memory for
    training, and one for scoring: that of the length to which the utterances are padded.

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
            If there is not enough memory; for utterances of any length the first step says so.
        """
        check_weights(weights, self.architecture, "The weights to train")
        if anchor is not weights:
            check_weights(anchor, self.architecture, "The global weights")
        if correction is not None:
            check_weights(correction, self.architecture, "The correction")
        training = _Training(
            self.architecture, settings, weights, anchor, correction, optimizer, self._threads
        )
        if self._training:
            training.spare = self._training.release()
        self._training = training
        if not self.architecture.variable:
            training.open(self.architecture.frames)

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        """Take one optimiser step and return the batch's mean loss.

        A batch larger than the graph's is computed in several turns. If the loss is not finite,
        the weights stay as they were.

        Raises
        ------
        TrainingError
            If features or labels are not what the model takes, or there is not enough memory for
            utterances of this length; nothing has changed then.
        """
        check_batch(self.architecture, features, frames, labels)
        return self._begun().step(features, frames, labels, seed)

    def weights(self) -> Weights:
        """Copy out the weights as they are now."""
        return self._begun().weights()

    def optimizer(self) -> OptimizerState:
        """Give the optimiser's state as it is now; it is copied only if another step is taken."""
        return self._begun().state()

    def logits(
        self, weights: Weights, features: NDArray[np.float32], frames: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Compute logits of shape ``(n, labels)``; see :class:`Engine`.

        Raises
        ------
        WeightsError
            If the weights do not belong to the architecture or are not finite.
        """
        check_weights(weights, self.architecture)
        result = np.empty((len(features), self.architecture.labels), np.float32)
        if not len(features):
            return result
        length = model_length(self.architecture, frames)
        architecture = self.architecture.at(length)
        session = self._scorer(architecture)
        fill_weights(session, weights)
        size = session.inputs["features"][0]
        for start in range(0, len(features), size):
            batch, true = features[start : start + size], frames[start : start + size]
            if architecture.pools:
                batch = padded(batch, true, length)
            _fill_batch(session, architecture, batch, true)
            session.run()
            result[start : start + size] = session.view("logits")[: len(batch)]
        return result

    def _scorer(self, architecture: Architecture) -> Session:
        """Give the session that scores utterances of a length, ready but for the weights."""
        session = self._scoring
        if session is None or _length(session) != architecture.frames:
            session = self._scoring = None  # its memory goes first
            session = self._scoring = _open(architecture, "train_head", self._threads)
            _fill_masks(session, None)
            session.view("targets").fill(0)
        return session

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
        self._signature: Signature = "train_head" if settings.head_only else "train"
        self._opened: Session | None = None
        self.spare: Session | None = None
        self._lent = False
        self._left: Weights = start[self._first :]

    def open(self, frames: int) -> Session:
        """Give the session for utterances of a length, with the weights in it.

        Raises
        ------
        TrainingError
            If there is not enough memory for it.
        """
        if self._opened and _length(self._opened) == frames:
            return self._opened
        if self._opened:
            self._left = self._gather(self._opened)
            self._opened = None
        session = self._made(frames)
        self._places = {
            name: where
            for name, where in weight_places(session).items()
            if f"{name}_gradient" in session.outputs
        }
        fill_weights(session, self._start)
        for name, where in self._places.items():
            left = self._left[where.start - self._first : where.stop - self._first]
            session.view(name).reshape(-1)[:] = left
        self._opened = session
        return session

    def _made(self, frames: int) -> Session:
        """Make a session; that of the training before is taken where it is the same."""
        spare, self.spare = self.spare, None
        if spare and (spare.signature, _length(spare)) == (self._signature, frames):
            return spare
        spare = None  # its memory goes first
        architecture = self._architecture.at(frames)
        check_memory(architecture, self._settings)
        return _open(architecture, self._signature, self._threads)

    def release(self) -> Session | None:
        """Let go of the session."""
        session, self._opened = self._opened, None
        return session

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        session = self.open(features.shape[1])
        architecture = self._architecture.at(features.shape[1])
        bits = np.random.PCG64(seed) if self._settings.dropout else None
        size, count = session.inputs["features"][0], len(labels)
        loss = 0.0
        total: Weights | None = None
        for start in range(0, count, size):
            part = slice(start, start + size)
            _fill_batch(session, architecture, features[part], frames[part])
            _fill_targets(session, labels[part], 1 / count)
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
        if self._opened is None:  # after the last call, or before the first step
            return np.concatenate([self._start[: self._first], self._left])
        trained = self._gather(self._opened)
        if not self._first:
            return trained
        # The runtime's copy of the body goes before the caller's is made: there is room for one.
        self._left = trained
        self.release()
        return np.concatenate([self._start[: self._first], trained])

    def state(self) -> OptimizerState:
        self._lent = True
        return OptimizerState(self._step, dict(self._optimiser.slots))


def _open(architecture: Architecture, signature: Signature, threads: int) -> Session:
    return Session(graph_file(architecture, signature), signature, threads)


def _length(session: Session) -> int:
    """Read for which length of utterances a session is."""
    return session.inputs["features"][1]


def _fill_batch(
    session: Session,
    architecture: Architecture,
    features: NDArray[np.float32],
    frames: NDArray[np.int32],
) -> None:
    """Fill in utterances, and what their frames count; places left over are zero."""
    inputs = session.view("features")
    inputs[: len(features)] = features
    inputs[len(features) :] = 0
    if architecture.pools:
        inputs = session.view("shares")
        inputs[: len(frames)] = shares(architecture, frames)
        inputs[len(frames) :] = 0


def _fill_targets(session: Session, labels: NDArray[np.int32], weight: float) -> None:
    """Fill in labels, each with its weight in the mean loss; places left over count zero."""
    targets = session.view("targets")
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
