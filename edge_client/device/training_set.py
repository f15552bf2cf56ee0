"""What may be trained on: chosen from the store, and read into arrays of the final size."""

from typing import Final

import numpy as np

from edge_client.device.store import ExampleStore
from shared.architectures import FEATURES, FRAMES
from shared.emotions import EMOTIONS
from shared.normalisation import RunningStatistics
from shared.training import Examples

MOST: Final = 2000
"""Newest examples that are trained on: 27 MB of features. A voice is well known by then, and a
device of 512 MB has room for them beside the training."""

SURE: Final = 0.9
"""Probability from which on an unlabelled utterance may be trained on, where that is asked for."""


def count(store: ExampleStore, *, guesses: bool) -> int:
    """Count what :func:`gather` would give, without reading it."""
    guessed, labelled = _chosen(store, MOST, guesses=guesses)
    return len(guessed) + len(labelled)


def gather(
    store: ExampleStore,
    statistics: RunningStatistics | None,
    *,
    guesses: bool = False,
    most: int = MOST,
) -> Examples:
    """Read the newest examples, normalised.

    Parameters
    ----------
    store
        Where they are kept.
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
    size, guessing, filled = len(guessed) + len(labelled), set(guessed), 0
    features = np.zeros((size, FRAMES, FEATURES), np.float32)
    frames, labels = np.zeros(size, np.int32), np.zeros(size, np.int32)
    keys = np.zeros(size, np.int64)
    for known, own in store.read([*guessed, *labelled]):
        emotion = known.label or (known.emotion if known.identifier in guessing else None)
        if emotion is None or known.discarded:
            continue
        features[filled, : len(own)] = own
        frames[filled] = len(own)
        labels[filled] = EMOTIONS.index(emotion)
        keys[filled] = known.identifier if known.label else -known.identifier
        if statistics is not None:
            features[filled] = statistics.normalise(features[filled], len(own))
        filled += 1
    return Examples(features[:filled], frames[:filled], labels[:filled], keys[:filled])


def _chosen(store: ExampleStore, most: int, *, guesses: bool) -> tuple[list[int], list[int]]:
    """Give the numbers of guesses and of labelled ones."""
    labelled = store.labelled(most)
    room = min(len(labelled), most - len(labelled))
    return store.sure(SURE, room) if guesses and room else [], labelled
