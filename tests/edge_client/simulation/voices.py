"""Clips of synthetic voices as files, which ``manifest`` reads."""

from pathlib import Path

import soundfile

from shared.audio import RATE
from shared.corpora import load_corpus
from shared.task import Task, labels_of
from tests.edge_client.device.pooled import POOLED


def write_voices(place: Path, speakers: int, loudness: float) -> Path:
    """Write clips into folders named by label, angry or sad, and speaker; give the folder."""
    task = Task(labels_of(("angry", "sad")), POOLED.shape)
    corpus = load_corpus("synthetic", task=task, speakers=speakers, clips_per_speaker=8)
    for number, clip in enumerate(corpus.labelled):
        own = place / str(clip.label) / clip.speaker
        own.mkdir(parents=True, exist_ok=True)
        soundfile.write(own / f"{number}.wav", loudness * clip.read(), RATE)
    return place
