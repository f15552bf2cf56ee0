"""The synthetic corpus with words and motion: the same sounds, and what stands beside them."""

from collections import defaultdict

import numpy as np

from shared.corpora import load_corpus
from shared.corpora.motion import FRAMES
from shared.corpora.synthetic_multimodal import COLUMNS, TELLING
from shared.task import PAPER34, Task, labels_of


def test_its_sounds_are_those_of_the_synthetic_corpus() -> None:
    plain = load_corpus("synthetic", speakers=2, seed=3).clips
    clips = load_corpus("synthetic-multimodal", speakers=2, seed=3).clips
    assert [clip.content_key() for clip in clips] == [clip.content_key() for clip in plain]
    assert [clip.identifier for clip in clips] == [clip.identifier for clip in plain]


def test_its_words_bear_on_the_label_in_about_half_of_the_clips() -> None:
    clips = load_corpus("synthetic-multimodal").clips
    said = defaultdict(set)
    for clip in clips:
        for phrase in clip.text.lower().strip(".").split(", "):
            said[phrase].add(clip.label)
    telling = [
        any(len(said[phrase]) == 1 for phrase in clip.text.lower().strip(".").split(", "))
        for clip in clips
    ]
    assert abs(np.mean(telling) - TELLING) < 0.06
    assert sum(len(labels) == 4 for labels in said.values()) >= 6, "the others are in all labels"


def test_its_motion_bears_on_the_label() -> None:
    clips = load_corpus("synthetic-multimodal").clips
    means = defaultdict(list)
    for clip in clips:
        assert clip.motion is not None
        motion = clip.motion.read()
        assert motion.shape == (FRAMES, COLUMNS)
        assert motion.dtype == np.float32
        means[clip.label].append(motion.mean(axis=0))
    angry, sad = np.mean(means["angry"], axis=0), np.mean(means["sad"], axis=0)
    error = 1.1 / np.sqrt(len(means["sad"]))
    assert np.abs(angry - sad).max() > 5 * error


def test_any_labels_have_words_and_motion() -> None:
    task = Task(labels_of(("laughing", "crying")), PAPER34)
    clips = load_corpus("synthetic-multimodal", None, task, speakers=1).clips
    assert any("laughing" in clip.text for clip in clips)
    assert all(clip.motion is not None for clip in clips)
