"""Tried settings: the paper's protocol, and ours."""

from typing import Any, Final

from aggregator.strategies.fedadam import CHAU_GARCES
from shared.errors import SettingsError

PAPER: Final[dict[str, Any]] = {
    "happy": "excited",
    "normalisation": "none",
    "protocol": "paper",
    "rounds": 20,
    "learning_rate": 1e-4,
    "strategy": "fedadam",
    **CHAU_GARCES,
}
"""Chau & Garces (2021): no normalisation, a random tenth as the test, client Adam 1e-4, server
Adam 1e-2, one epoch a round, batches of 20. Its 494 test utterances are a tenth of the 4,936 that
IEMOCAP has if happy means excited alone."""

BEST: Final[dict[str, Any]] = {
    "normalisation": "device",
    "protocol": "speakers",
    "rounds": 25,
    "learning_rate": 1e-3,
    "schedule": "cosine",
}
"""Ours; how it was chosen stands in docs/results.md."""

PRESETS: Final[dict[str, dict[str, Any]]] = {"paper": PAPER, "best": BEST}

BEST_FOR_PARTITION: Final[dict[str, dict[str, Any]]] = {}
"""What the best preset changes for a partition."""


def preset_for(name: str, partition: str) -> dict[str, Any]:
    """Give the values of a preset for a partition.

    Raises
    ------
    SettingsError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise SettingsError(f"There is no preset {name}; there are: {', '.join(PRESETS)}.")
    changes = BEST_FOR_PARTITION.get(partition, {}) if name == "best" else {}
    return {**PRESETS[name], **changes}
