"""The synthetic sounds with words and motion beside them that bear on the emotion.

Fusion can be seen to work on it where no corpus is at hand whose words and motion do. Neither alone
tells every clip: about half of the sentences say nothing of the emotion, and the motion is noisy.
The words are not in the sounds, which are no speech.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shared.corpora import synthetic
from shared.corpora.corpus import Clip, Corpus, CorpusInfo
from shared.corpora.labels import emotion_of
from shared.corpora.motion import FRAMES, Motion
from shared.randomness import stream
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="synthetic-multimodal",
    title="synthetic sounds, words and motion (not speech)",
    description=(
        "The sounds of synthetic, each with a sentence and captured motion beside it that bear on "
        "the label. Not speech: for trying fusion out and for tests; results on it say nothing "
        "about people."
    ),
    licence="none needed",
    obtain="nothing to obtain: leave out --data",
    tree="",
)

COLUMNS: Final = 12
"""Of the motion: four markers in three dimensions."""

TELLING: Final = 0.55
"""Share of the sentences that say something of the emotion."""

_MOVED: Final = 0.45
"""How far an emotion moves a marker, where the noise of a clip is 1."""

_PHRASES: Final = {
    "angry": ("leave me alone", "I am sick of this", "how dare you", "that is outrageous"),
    "happy": ("what a lovely day", "I am so glad", "this is wonderful", "we won at last"),
    "neutral": ("it is as it was", "that will do", "I have noted it", "all is in order"),
    "sad": ("I miss her so much", "nothing helps any more", "it is all lost", "I could cry"),
    "fearful": ("somebody is in the house", "please do not go", "I am afraid", "watch out"),
    "disgusted": ("that is revolting", "take it away", "it smells awful", "how nasty"),
    "surprised": ("I never expected that", "you are here already", "no way", "what is that"),
    "calm": ("take your time", "everything is quiet", "breathe slowly", "there is no hurry"),
    "bored": ("not this again", "how long will it take", "I have heard it before", "whatever"),
    "excited": ("it begins any minute", "I cannot wait", "here they come", "quick, look"),
    "frustrated": ("it never works", "I have tried it ten times", "not again", "I give up"),
    "contemptuous": ("you call that work", "as if you knew", "how very clever", "do not bother"),
}
"""What is said in each emotion of :data:`shared.corpora.labels.ALIASES`."""

_BEGINNINGS: Final = ("well", "you know", "listen", "so", "look", "now")
_PLAIN: Final = (
    "the dog sits by the door",
    "the cloth lies on the fridge",
    "she will bring it on Wednesday",
    "the paper is over there",
    "we go to the station",
    "they carried it upstairs",
)


@dataclass(frozen=True, slots=True)
class SyntheticMotion:
    """What a clip's motion is made from; the fields are those of its sound."""

    sound: synthetic.SyntheticSound

    def read(self) -> Motion:
        """Make the motion: shape ``(FRAMES, COLUMNS)``, float32."""
        sound = self.sound
        person = stream(sound.seed, "synthetic motion", sound.speaker)
        rng = stream(sound.seed, "synthetic motion", sound.speaker, sound.label, sound.take)
        draws = hashlib.sha256(f"motion {sound.label}".encode()).digest()[:COLUMNS]
        direction = np.sign(np.frombuffer(draws, np.uint8) - 127.5)
        rate = synthetic.manner_of(sound.label).tempo * person.uniform(1.5, 2.5)
        time = np.linspace(0, 3, FRAMES)[:, None]
        sway = np.sin(2 * np.pi * (rate * time + rng.uniform(size=COLUMNS)))
        place = person.normal(0, 0.3, COLUMNS) + rng.normal(0, 1, COLUMNS)
        moved = _MOVED * direction * rng.normal(1, 0.3)
        noise = rng.normal(0, 0.3, (FRAMES, COLUMNS))
        motion: Motion = (place + moved + 0.5 * sway + noise).astype(np.float32)
        return motion

    def content_key(self) -> str:
        """Name the content: it follows from the sound."""
        return f"motion beside {self.sound.content_key()}"


def sentence_of(sound: synthetic.SyntheticSound) -> str:
    """Make what is said beside a sound."""
    rng = stream(sound.seed, "synthetic words", sound.speaker, sound.label, sound.take)
    emotion = emotion_of(sound.label)
    phrases = _PHRASES[emotion] if emotion else (f"this is {sound.label}", f"so {sound.label}")
    parts = [_BEGINNINGS[rng.integers(len(_BEGINNINGS))], _PLAIN[rng.integers(len(_PLAIN))]]
    if rng.random() < TELLING:
        parts.insert(rng.integers(3), phrases[rng.integers(len(phrases))])
    sentence = ", ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def load(
    task: Task = DEFAULT_TASK,
    *,
    seed: int = 0,
    speakers: int = 24,
    clips_per_speaker: int | None = None,
) -> Corpus:
    """List the clips of :func:`shared.corpora.synthetic.load`, with words and motion beside each.

    Raises
    ------
    SettingsError
        As that does.
    """
    sounds = synthetic.load(task, seed=seed, speakers=speakers, clips_per_speaker=clips_per_speaker)
    return Corpus(INFO, tuple(_beside(clip) for clip in sounds.clips))


def _beside(clip: Clip) -> Clip:
    sound = clip.source
    if not isinstance(sound, synthetic.SyntheticSound):
        raise TypeError("the clips of the synthetic corpus are made of SyntheticSound")
    return replace(clip, language="en", text=sentence_of(sound), motion=SyntheticMotion(sound))
