"""What a package of somebody else's might hold: one thing for each group of entry points."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from aggregator.strategies import Strategy, Update
from edge_client.simulation.partitions import Indices, TrainingSet
from shared.audio import Samples
from shared.codecs.float16 import Float16
from shared.corpora import AudioFile, Clip, Corpus, CorpusInfo, Loader, label_of
from shared.frames import Frames
from shared.front_ends import FrontEnd
from shared.layers import HEAD, Dense
from shared.task import FrontEndShape, Task
from shared.weights import Weights

INFO = CorpusInfo("village", "The village", "Its voices.", "ours", "ask us", "ANGER-anna-1.wav")


def load(data: Path, task: Task) -> Corpus:
    """Read files named by word, speaker and number."""
    clips = []
    for path in sorted(data.glob("*.wav")):
        word, speaker, _ = path.stem.split("-")
        clips.append(Clip(path.name, AudioFile(path), label_of(word, task), word, speaker))
    return Corpus(INFO, tuple(clips))


def load_as_it_is(data: Path, task: Task) -> Corpus:
    """Forget that words are not labels."""
    clips = load(data, task).clips
    return Corpus(
        INFO, tuple(Clip(c.identifier, c.source, c.original, c.original, c.speaker) for c in clips)
    )


VILLAGE = Loader(INFO, load)
CARELESS = Loader(INFO, load_as_it_is)


def levels(samples: Samples) -> Frames:
    """Give the loudness of each 50 ms."""
    whole = samples[: len(samples) // 800 * 800].reshape(-1, 800)[:200]
    loudness: Frames = np.log10(1e-6 + np.square(whole).mean(axis=1, keepdims=True), dtype="f4")
    return loudness


LEVELS = FrontEnd(FrontEndShape("levels", 1, 200, 1), hop=0.05, frame_features=levels)

SMALL = (Dense(HEAD, units=8),)


class Halves(Float16):
    """Values of half as many bytes."""

    name = "halves"


def turns(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    """Deal the examples out like cards."""
    del alpha, rng
    return [np.arange(len(whole))[number::clients] for number in range(clients)]


class Newest(Strategy):
    """Take the last update."""

    def combine(self, updates: Iterable[Update]) -> Weights:
        """Choose one."""
        kept: Sequence[Update] = list(updates)
        return np.asarray(kept[-1].delta)
