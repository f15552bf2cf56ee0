"""Small voice models, and what people say by them."""

import numpy as np
from numpy.typing import NDArray

from shared.features.expression import Expressions
from shared.features.voice import NEVER, VoiceModel

Vectors = NDArray[np.float32]


def voice_model(labels: int = 3, coordinates: int = 4, features: int = 6) -> VoiceModel:
    """Make one whose emotions are smaller than its largest voices."""
    rng = np.random.default_rng(7)
    axes, _ = np.linalg.qr(rng.standard_normal((features, coordinates)))
    return VoiceModel(
        mean=rng.standard_normal(features),
        scale=np.full(features, 2.0),
        projection=axes.T,
        lift=axes,
        spread=np.geomspace(20, 0.2, coordinates),
        emotions=3 * rng.standard_normal((labels, coordinates)),
        belief=np.array(NEVER),
    )


def said(
    model: VoiceModel, voice: NDArray[np.float64], emotions: NDArray[np.int64], seed: int = 0
) -> Vectors:
    """Say utterances with a voice in some emotions; shape ``(n, features)``."""
    rest = np.random.default_rng(seed).standard_normal((len(emotions), len(voice)))
    coordinates = model.emotions[emotions] + voice + rest
    vectors = coordinates @ model.lift.T * model.scale + model.mean
    return vectors.astype(np.float32)


def voice_of(model: VoiceModel, seed: int = 0) -> NDArray[np.float64]:
    """Draw somebody's voice, shape ``(coordinates,)``."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.standard_normal(len(model.spread)) * np.sqrt(model.spread))


def expressions(labels: int = 3, features: int = 6) -> Expressions:
    """Make them: people differ more than utterances do, along two of the axes."""
    rng = np.random.default_rng(8)
    axes, _ = np.linalg.qr(rng.standard_normal((features, 4)))
    return Expressions(
        projection=axes.T,
        lift=axes.T,
        emotions=1.5 * rng.standard_normal((labels, 4)),
        rest=np.ones(4),
        spread=np.array([4.0, 4.0, 0.01, 0.01]),
    )
