"""Normalisation of a corpus: by its own statistics, each speaker's, or a voice model."""

from functools import lru_cache

import numpy as np

from edge_client.learning.voice_fitting import fit_voices
from edge_client.simulation.utterances import Indices, Utterances
from shared.errors import SettingsError
from shared.features.labelled_clips import normalised_by_owner, together
from shared.features.voice import VoiceModel
from shared.front_ends import FrontEnd
from shared.training import Examples


def normalise(
    utterances: Utterances,
    train: Indices,
    how: str,
    front_end: FrontEnd,
    *,
    recognised: bool = False,
) -> Examples:
    """Normalise features as ``none``, ``corpus``, ``device`` or ``voice`` says.

    A device's statistics are those of all the utterances it has heard from its user, labelled or
    not; here, of all utterances of the same speaker. Copies stand behind all utterances. Those
    with a speaker of their own are normalised as if a device had heard nothing else; others by the
    statistics of what they are copies of. Where they are ``recognised``, and not trained on,
    ``voice`` also infers how each speaker shows emotions.

    Raises
    ------
    SettingsError
        If voices should be told from moods in features that are not one vector an utterance.
    CorpusError
        If the training set does not show what is voice and what is mood.
    """
    raw, speakers, copies = utterances.examples, utterances.speakers, utterances.copies
    count = len(raw)
    voice = voice_model(utterances, train, front_end) if how == "voice" else None
    if copies is not None:
        raw = together([raw, copies.examples])
        speakers = np.concatenate([speakers, copies.speakers])
    if how == "none":
        return raw
    known = (np.arange(len(raw)) < count) | ~np.isin(speakers, utterances.speakers)
    if how == "corpus":
        known[:] = False
        known[train] = True
        speakers = np.repeat("the server", len(raw))
    return normalised_by_owner(raw, speakers, front_end, known, voice, recognised=recognised)


def voice_model(utterances: Utterances, train: Indices, front_end: FrontEnd) -> VoiceModel:
    """Fit a voice model to the training set, and to its copies with speakers of their own.

    Who speaks a copy is who speaks its source, wherever it was heard.

    Raises
    ------
    SettingsError
        If the front end gives frames.
    CorpusError
        If the training set does not show what is voice and what is mood.
    """
    shape = front_end.shape
    if shape.frames != 1:
        raise SettingsError(
            f"Voices are told from moods in one vector an utterance; {shape.name} gives up to "
            f"{shape.frames} frames.",
            "Give --normalisation device, or a front end that pools over time.",
        )
    taken = utterances.take(train)
    examples, speakers, people = taken.examples, taken.speakers, taken.speakers
    if copies := taken.copies:
        own = np.flatnonzero(~np.isin(copies.speakers, speakers))
        examples = together([examples, copies.examples.take(own)])
        speakers = np.concatenate([speakers, copies.speakers[own]])
        people = np.concatenate([people, people[copies.sources[own]]])
    emotions = int(utterances.examples.labels.max()) + 1
    vectors, labels = examples.features[:, 0], examples.labels.astype(np.int32)
    return _fitted(vectors.tobytes(), labels.tobytes(), tuple(speakers), tuple(people), emotions)


@lru_cache(maxsize=1)
def _fitted(
    vectors: bytes, labels: bytes, speakers: tuple[str, ...], people: tuple[str, ...], emotions: int
) -> VoiceModel:
    """Fit a voice model once for each training set: a run asks for the same one several times."""
    rows = np.frombuffer(vectors, np.float32).reshape(len(speakers), -1)
    heard = np.array(speakers), np.array(people)
    return fit_voices(rows, np.frombuffer(labels, np.int32), *heard, emotions).model
