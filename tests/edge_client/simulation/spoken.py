"""Small utterances in several languages: one vector each, in which the label shows."""

import numpy as np

from edge_client.simulation.studies.languages import Languages
from edge_client.simulation.utterances import Utterances
from shared.training import Examples
from tests.edge_client.device.pooled import POOLED


def language(seed: int, speakers: int = 4, each: int = 12, labels: int = 2) -> Utterances:
    """Make utterances of some speakers, who say each label as often."""
    rng = np.random.default_rng(seed)
    count = speakers * each
    said = (np.arange(count) % labels).astype(np.int32)
    voices = np.repeat(rng.normal(0, 1, (speakers, POOLED.shape.features)), each, axis=0)
    features = (voices + rng.normal(0, 0.5, voices.shape)).astype(np.float32)
    features[np.arange(count), said] += 1.5
    names = np.repeat([f"speaker-{number}" for number in range(speakers)], each)
    frames = np.ones(count, np.int32)
    clips = np.array([f"clip-{number}" for number in range(count)])
    return Utterances(Examples(features[:, None], frames, said), names, (), clips=clips)


def languages(folds: int = 2, *names: str) -> Languages:
    """Make languages of these names, or en, de and pl."""
    parts = {name: language(seed) for seed, name in enumerate(names or ("en", "de", "pl"))}
    return Languages.of(parts, folds)
