"""What is known of a corpus' utterances besides their sound: words and motion, to learn from."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.settings import DataSettings
from edge_client.simulation.utterances import Utterances, clips_of
from shared.audio.clip_search import remark
from shared.corpora import Clip
from shared.corpora.motion import FRAMES, Motion
from shared.errors import CorpusError
from shared.sentences import SentenceEncoder

ALIKE: Final = 0.1
"""Share of clips with sentences of their own up to which a corpus' words tell nothing."""


@dataclass(frozen=True)
class Beside:
    """What stands beside each utterance, and beside which.

    Attributes
    ----------
    values
        Shape ``(n, frames, width)``, float32; zeros where there is nothing.
    there
        Shape ``(n,)``: beside which utterances there is something.
    """

    values: NDArray[np.float32]
    there: NDArray[np.bool_]


def clips_of_utterances(utterances: Utterances, settings: DataSettings) -> list[Clip]:
    """Give the clip of each utterance, in their order, those of another corpus to test on last.

    Raises
    ------
    CorpusError
        If a corpus is not there any more.
    """
    home = len(utterances.clips) - utterances.foreign
    found = _named(settings, settings.corpus, utterances.clips[:home], settings.data)
    if settings.test_corpus is not None:
        names = utterances.clips[home:]
        found += _named(settings, settings.test_corpus, names, settings.test_data)
    return found


def _named(
    settings: DataSettings, corpus: str, names: NDArray[np.str_], data: Path | None
) -> list[Clip]:
    clips = {clip.identifier: clip for clip in clips_of(settings, corpus, data)}
    return [clips[name] for name in names]


def words_of(clips: Sequence[Clip], encoder: SentenceEncoder) -> Beside:
    """Compute the vector of what is said in each clip: ``(n, 1, width)``."""
    texts = [clip.text for clip in clips]
    vectors = encoder.vectors(texts)
    there = vectors.any(axis=1)
    silent = [clip.identifier for clip, here in zip(clips, there, strict=True) if not here]
    if there.any():
        remark("Words are missing", {"clips without a transcript": silent} if silent else {})
    return Beside(vectors[:, None], there)


def told_by_words(clips: Sequence[Clip]) -> float:
    """Give the share of clips whose sentence is not said in every label of the corpus.

    Where it is near 0, words cannot tell the label: actors were given the same sentences for all.
    """
    labels: defaultdict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        labels[clip.text].add(clip.label)
    every = {clip.label for clip in clips}
    return sum(labels[clip.text] != every for clip in clips) / len(clips)


def digests_beside(clips: Sequence[Clip], encoder: SentenceEncoder) -> dict[str, str]:
    """Give the SHA-256, in hexadecimal, of what is known of clips besides their sound.

    Returns
    -------
    dict of str to str
        Of their ``text``, of their ``motion``, and what ``sentences`` are told by.
    """
    known = {
        "text": [clip.text for clip in clips],
        "motion": [_motion_key(clip) for clip in clips],
        "sentences": [encoder.name],
    }
    return {name: sha256(json.dumps(own).encode()).hexdigest() for name, own in known.items()}


def _motion_key(clip: Clip) -> str:
    try:
        return clip.motion.content_key() if clip.motion else ""
    except OSError:  # such a clip counts as one without motion
        return ""


def motion_of(clips: Sequence[Clip]) -> Beside:
    """Read the motion of each clip: ``(n, FRAMES, columns)``, NaN for a marker never seen.

    A clip whose motion cannot be read, or has other markers than most, counts as one without; a
    remark names and counts them.
    """
    read: list[Motion | None] = []
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        try:
            read.append(clip.motion.read() if clip.motion else None)
        except CorpusError as error:
            read.append(None)
            left_out[f"as it cannot be read: {error.problem.rstrip('.')}"].append(clip.identifier)
    widths = Counter(motion.shape[1] for motion in read if motion is not None)
    columns = widths.most_common(1)[0][0] if widths else 1
    values = np.zeros((len(clips), FRAMES, columns), np.float32)
    there = np.zeros(len(clips), np.bool_)
    for place, motion in enumerate(read):
        if motion is None:
            continue
        if motion.shape[1] != columns:
            why = f"with {motion.shape[1]} columns where most have {columns}: markers are missing"
            left_out[why].append(clips[place].identifier)
            continue
        values[place], there[place] = motion, True
    remark("Motion is left out", left_out)
    return Beside(values, there)


def motion_normalised(motion: Beside, train: NDArray[np.int64]) -> Beside:
    """Bring each column to mean 0 and deviation 1 over the training set; unseen markers to 0."""
    taught = motion.values[train[motion.there[train]]]
    seen = np.isfinite(taught)
    count = np.maximum(seen.sum(axis=(0, 1)), 1)
    mean = np.where(seen, taught, 0).sum(axis=(0, 1)) / count
    square = np.where(seen, taught - mean, 0) ** 2
    deviation = np.sqrt(square.sum(axis=(0, 1)) / count)
    values = (motion.values - mean) / np.where(deviation > 0, deviation, 1)
    values[~motion.there] = 0
    return Beside(np.nan_to_num(values).astype(np.float32), motion.there)
