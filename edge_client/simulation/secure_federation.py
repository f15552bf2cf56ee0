"""Rounds of which nobody but a client sees its update: whole numbers are added up in a ring.

Masks, which take each other away in the sum, are left out: the sum is the same without them.
"""

from collections.abc import Callable

import numpy as np

from aggregator.strategies.ring_sum import add, first_octaves, read_sum
from aggregator.strategies.strategy import State
from edge_client.learning.summand import summand
from edge_client.learning.training import Engine
from edge_client.simulation.federation import SimulatedFederation
from shared.codecs.ring import Ring, RingCodec
from shared.round_settings import SecureSettings
from shared.secure.masks import Numbers, packed_size
from shared.tally import ring_size
from shared.weights import Weights

_OCTAVES = "ring.octaves"
"""What the state calls what the next round announces."""


def round_ring(settings: SecureSettings, invited: int, octaves: tuple[int, ...]) -> Ring:
    """Make the ring of a round; raise :class:`SettingsError` if so many clients overflow it."""
    return Ring(settings.ring_bits, invited, settings.ring_examples, octaves)


class SecureFederation(SimulatedFederation):
    """A federation whose server knows the sum of a round's updates, and nothing else of them.

    The parameters are those of :class:`SimulatedFederation`.
    """

    _octaves: tuple[int, ...] = ()

    def state(self) -> dict[str, State]:
        """Give the strategy's state, and what the next round announces."""
        octaves: dict[str, State] = {}
        if self._octaves:
            octaves[_OCTAVES] = np.array(self._octaves, np.int64)
        return super().state() | octaves

    def restore(self, number: int, state: dict[str, State]) -> None:
        """Take back what :meth:`state` gave after round ``number``."""
        octaves = state.get(_OCTAVES, np.empty(0, np.int64))
        self._octaves = tuple(map(int, octaves.tolist()))
        super().restore(number, {name: s for name, s in state.items() if name != _OCTAVES})

    @property
    def _loses_something(self) -> bool:
        return True

    def _next(
        self, number: int, weights: Weights, invited: int, answering: list[int]
    ) -> tuple[Weights, float]:
        """Add up what the clients send; give the next weights, and the mean training loss."""
        architecture = self._architecture
        octaves = self._octaves or first_octaves(weights, architecture)
        ring = round_ring(self._settings, invited, octaves)

        def work(engine: Engine, stop: Callable[[int], bool], index: int) -> Numbers:
            codec = RingCodec(ring, len(self._clients[index]))
            outcome = self._take_part(number, weights, codec, index, engine, stop)
            return summand(outcome, codec, architecture)

        total = np.zeros(ring_size(ring, architecture), np.uint32)
        for numbers in self._side_by_side(work, answering):
            add(total, numbers, ring)
        self._update_bytes = packed_size(len(total), ring.bits)
        found = read_sum(total, len(answering), ring, architecture)
        length = self._settings.step_length(number)
        result = self._strategy.follow(weights, found.direction, length=length)
        self._octaves = found.octaves
        return result, found.loss
