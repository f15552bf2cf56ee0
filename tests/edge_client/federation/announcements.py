"""Announcements as an aggregator makes them, for tests of what reads them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from aggregator.settings import AggregatorSettings
from edge_client.federation.client_state import ClientState
from shared.protocol.messages import Announcement, File
from shared.weights import save_weights
from tests.edge_client.tiny import TINY

RUN = "0" * 32


def announcement(model: File, **values: Any) -> Announcement:
    """Announce a round with this model."""
    facts = {
        "federation": "chorus",
        "run": RUN,
        "state": "open",
        "round": 1,
        "architecture": "conv",
        "model": model,
        "training": AggregatorSettings.parse({}).announced(1),
        "codecs": ["float32"],
        "seed": 3,
    }
    return Announcement.model_validate(facts | values)


def model_of(folder: Path, value: float = 0.0) -> File:
    """Put a model where an earlier process of the client would have left it."""
    state = ClientState(folder)
    path = folder / "new"
    save_weights(path, np.full(TINY.parameters, value, np.float32), TINY)
    content = path.read_bytes()
    file = File(digest=hashlib.sha256(content).hexdigest(), size=len(content))
    path.rename(state.path(file.digest))
    return file
