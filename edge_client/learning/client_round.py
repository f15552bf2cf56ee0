"""What a client does in one round: the same text on a device and in a simulation.

:func:`client_round` takes an :class:`Assignment` and gives a :class:`Contribution`. Both can be
pickled, so the work may be done in another thread, process or machine, and gives the same bits
there. Files, resuming and what is sent are the caller's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from edge_client.learning.training import Engine, Progress, control_change, train
from shared.codecs import Codec
from shared.codecs.update_file import EncodedUpdate, encode_update
from shared.metrics import confusion, predicted
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Vector, Weights


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one client is given for one round.

    Attributes
    ----------
    client
        Its name.
    number
        The round, from 1.
    seed
        Of the federation; all random streams follow from it, the client and the round.
    weights
        The round's global weights, shape ``(parameters,)``, float32.
    examples
        What it trains on.
    settings
        How it trains.
    codec
        How its update is encoded.
    held_out
        Examples to score the global weights with; none if not given.
    residual
        What the codec left out of its last update that counted.
    control
        The server's control variate (SCAFFOLD), shape ``(parameters,)``; ``None`` where the
        strategy asks for none.
    own_control
        The client's control variate; zero if not given.
    progress
        Where an earlier process stopped in this round, to go on from there.
    """

    client: str
    number: int
    seed: int
    weights: Weights
    examples: Examples
    settings: TrainingSettings
    codec: Codec
    held_out: Examples | None = None
    residual: Vector | None = None
    control: Weights | None = None
    own_control: Vector | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What came of it.

    Attributes
    ----------
    encoded
        The update as it is sent, and what the codec left out of it.
    examples
        How many it trained on.
    loss
        Mean training loss.
    confusion
        What the round's global weights make of the examples held out: rows are true labels,
        columns predicted ones. ``None`` if there were none.
    own_control
        The client's control variate after the round, shape ``(parameters,)``, if the update
        counts; ``None`` where the strategy asks for none.
    """

    encoded: EncodedUpdate
    examples: int
    loss: float
    confusion: list[list[int]] | None
    own_control: Weights | None


def client_round(
    assignment: Assignment,
    engine: Engine,
    stop: Callable[[int], bool] | None = None,
    *,
    release: bool = False,
) -> Contribution | Progress:
    """Train, and make of it what is sent to the aggregator.

    Parameters
    ----------
    assignment
        What to do. Where the caller keeps no reference to it, the memory of the global weights is
        free before the update is encoded.
    engine
        What trains.
    stop
        Asked before each step, with the number of steps taken; true stops the training.
    release
        Whether to give back the engine's memory as soon as it has done its part.

    Returns
    -------
    Contribution or Progress
        The finished update; or, if it was stopped, how far the training came.

    Raises
    ------
    TrainingError
        If the examples cannot be trained on, or the training diverges.
    """
    given, weights = assignment, assignment.weights
    own = correction = None
    if given.control is not None:
        own = np.zeros(len(weights), np.float32)
        if given.own_control is not None:
            own = given.own_control[:]
        correction = given.control - own
    outcome = train(
        engine,
        given.progress or weights,
        given.examples,
        given.settings,
        partial(stream, given.seed, "training", given.client, given.number),
        anchor=weights,
        correction=correction,
        stop=stop,
    )
    if release:
        engine.release()
    if isinstance(outcome, Progress):
        return outcome
    counts = _confusion(engine, weights, given.held_out)
    if release:
        engine.release()
    delta = np.subtract(outcome.weights, weights, out=outcome.weights)
    control, residual, codec = given.control, given.residual, given.codec
    if residual is not None:
        residual = codec.recalled(residual, delta)
    rng = stream(given.seed, "codec", given.client, given.number)
    examples, rate = len(given.examples), given.settings.learning_rate
    clip_norm = given.settings.clip_norm
    # A device may have no room for them beside what comes now.
    del assignment, given, weights, correction
    change = None if control is None else control_change(delta, control, outcome.steps, rate)
    encoded = encode_update(
        delta,
        engine.architecture,
        codec,
        rng,
        residual=residual,
        control=change,
        clip_norm=clip_norm,
    )
    if own is not None and encoded.control is not None:
        # What was sent, as the aggregator adds it to its sum; not what would have been exact.
        own = own + encoded.control[:]
    return Contribution(encoded, examples, outcome.loss, counts, own)


def _confusion(
    engine: Engine, weights: Weights, held_out: Examples | None
) -> list[list[int]] | None:
    """Count what the global weights make of the examples held out."""
    if held_out is None or not len(held_out):
        return None
    logits = engine.logits(weights, held_out.features, held_out.frames)
    labels = len(engine.architecture.task.labels)
    counts: list[list[int]] = confusion(held_out.labels, predicted(logits), labels).tolist()
    return counts
