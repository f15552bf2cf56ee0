"""What dishonest clients of a simulated federation learn from, and what they send."""

from dataclasses import replace
from typing import Final

import numpy as np

from aggregator.strategies import Update
from edge_client.simulation.settings import AttackSettings
from shared.training import Examples

SCALE: Final = 50
"""What ``scale`` multiplies an update by: enough to replace the model of as many equal clients."""

CLAIM: Final = 10_000
"""Examples that ``scale`` says it has: as many as an aggregator takes by default."""


class Poisoning:
    """The dishonest clients: the first ones, as many as the settings say.

    Parameters
    ----------
    settings
        What they do.
    labels
        How many labels the task has.
    """

    def __init__(self, settings: AttackSettings, labels: int) -> None:
        self._what = settings.attack
        self._attackers = 0 if settings.attack == "none" else settings.attackers
        self._labels = labels

    def examples(self, index: int, examples: Examples) -> Examples:
        """Give what a client trains on; label n of L becomes L - 1 - n (Fang et al., 2020)."""
        if index >= self._attackers or self._what == "sign-flip":
            return examples
        return replace(examples, labels=(self._labels - 1 - examples.labels).astype(np.int32))

    def claim(self, index: int, examples: int) -> int:
        """Give the number of examples that a client says it has."""
        return CLAIM if index < self._attackers and self._what == "scale" else examples

    def update(self, index: int, update: Update) -> Update:
        """Give what a client sends, of what it should."""
        if index >= self._attackers or self._what == "label-flip":
            return update
        factor = np.float32(SCALE if self._what == "scale" else -1)
        control = None if update.control is None else update.control[:] * factor
        return replace(
            update,
            examples=self.claim(index, update.examples),
            delta=update.delta[:] * factor,
            control=control,
        )
