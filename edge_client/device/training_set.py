"""What may be trained on: chosen from the store, and read into arrays of the final size."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_client.device.store import ExampleStore
from shared.features.doubt import doubts
from shared.features.expression import Kept
from shared.features.statistics import Statistics, knowing, remembering
from shared.frames import padded_length
from shared.training import Examples

MOST: Final = 2000
"""Newest examples that are trained on. A voice is well known by then."""

ROOM: Final = 1 << 24
"""Values of features that are trained on at most: 64 MB, which a device of 512 MB has beside the
training. ``MOST`` examples of ``paper34`` take 27 MB, and the newest 1,398 of ``mfcc40`` fit, if
none of them is longer than 3 s."""

SURE: Final = 0.9
"""Probability from which on an unlabelled utterance may be trained on, where that is asked for."""


class Labelled(NamedTuple):
    """What a personal model learns from."""

    examples: Examples
    """The person's own, the oldest first, normalised by statistics that know what was told."""
    told: NDArray[np.int32]
    """What the person said of utterances that the device has heard itself, shape ``(n,)``."""


def keys(store: ExampleStore, *, guesses: bool) -> list[int]:
    """List the keys of what :func:`gather` would give, without reading it."""
    guessed, labelled = _chosen(store, MOST, guesses=guesses)
    return [*(-number for number in guessed), *labelled]


def gather(
    store: ExampleStore,
    statistics: Statistics | None,
    *,
    guesses: bool = False,
    most: int = MOST,
) -> Examples:
    """Read the newest examples, normalised.

    Parameters
    ----------
    store
        Where they are kept. Those of another front end, or with a label that the store's task does
        not have, are left out.
    statistics
        What normalises them; ``None`` leaves them as they are.
    guesses
        Also take what the model is at least 90 % sure of, by its own answer; never more of these
        than of labelled ones, which go before them.
    most
        How many at most.

    Returns
    -------
    shared.training.Examples
        Guesses first, then what the person has labelled, each the oldest first; the key is the
        number in the store, and negative for a guess.
    """
    guessed, labelled = _chosen(store, most, guesses=guesses)
    # The store may change while it is read.
    chosen, guessing, filled = [*guessed, *labelled], set(guessed), 0
    front_end, index = store.task.front_end, store.task.index
    length = padded_length(store.longest(chosen), front_end)
    features = np.zeros((len(chosen), length, front_end.features), np.float32)
    frames, labels = np.zeros(len(chosen), np.int32), np.zeros(len(chosen), np.int32)
    keys, doubted = np.zeros(len(chosen), np.int64), np.ones(len(chosen), np.float32)
    for known, own in store.read(chosen):
        label = known.label or (known.predicted if known.identifier in guessing else None)
        if label is None or label not in index or known.discarded:
            continue
        features[filled, : len(own)] = own
        frames[filled] = len(own)
        labels[filled] = index[label]
        keys[filled] = known.identifier if known.label else -known.identifier
        if statistics is not None:
            doubted[filled] = doubts(statistics, features[filled][None])[0]
            features[filled] = statistics.normalise(features[filled], len(own))
        filled += 1
    return Examples(
        features[:filled], frames[:filled], labels[:filled], keys[:filled], doubted[:filled]
    )


def labelled(
    store: ExampleStore,
    statistics: Statistics | None,
    most: int,
    kept: Kept | None = None,
) -> Labelled:
    """Read the newest that the person has labelled, as a personal model hears them.

    ``kept`` is what they have said: see :func:`shared.features.statistics.remembering`.

    What is sent to a federation is normalised as a simulation does it, which has heard of no label:
    see :func:`gather`, and there what is given.
    """
    index = store.task.index
    told = np.array([index[label] for label in store.said(most)], np.int32)
    if statistics is not None:
        statistics = knowing(statistics, told)
        if kept is not None:
            statistics = remembering(statistics, *kept)
    return Labelled(gather(store, statistics, most=most), told)


def _chosen(store: ExampleStore, most: int, *, guesses: bool) -> tuple[list[int], list[int]]:
    """Give the numbers of guesses and of labelled ones; what there is no room for is left out."""
    labelled = store.labelled(most)
    room = min(len(labelled), most - len(labelled))
    guessed = store.sure(SURE, room) if guesses and room else []
    front_end = store.task.front_end
    length = padded_length(store.longest([*guessed, *labelled]), front_end)
    fit = max(1, ROOM // (length * front_end.features))
    labelled = labelled[-fit:]
    # As guesses stand first, the oldest of them go first.
    return guessed[max(0, len(guessed) + len(labelled) - fit) :], labelled
