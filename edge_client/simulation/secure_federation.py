"""Rounds of which nobody but a client sees its update: whole numbers are added up in a ring.

Masks, which take each other away in the sum, are left out: the sum is the same without them.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aggregator.strategies.ring_sum import add, first_octaves, read_private_sum, read_sum
from aggregator.strategies.settings import shared_noise_of
from aggregator.strategies.strategy import State
from edge_client.learning.shared_noise import with_noise
from edge_client.learning.summand import summand
from edge_client.learning.training import Engine
from edge_client.simulation.client_work import Workers
from edge_client.simulation.federation import SimulatedFederation, clients_of_round
from edge_client.simulation.settings import SimulationSettings
from shared.codecs.ring import Ring, RingCodec
from shared.round_settings import SecureSettings
from shared.secure.masks import packed_size
from shared.secure.sharing import Draw
from shared.secure.terms import FEWEST_DEVICES, needed_of
from shared.tally import ring_size
from shared.training import Examples
from shared.weights import Weights

_OCTAVES = "ring.octaves"
"""What the state calls what the next round announces."""


def round_ring(settings: SecureSettings, invited: int, octaves: tuple[int, ...]) -> Ring:
    """Make the ring of a round; raise :class:`SettingsError` if so many clients overflow it."""
    return Ring(settings.ring_bits, invited, settings.ring_examples, octaves)


class SecureFederation(SimulatedFederation):
    """A federation whose server knows the sum of a round's updates, and nothing else of them.

    With a privacy budget each client adds its share of the noise. A round in which fewer answer
    than a sum is of at least is given up then: there would be too little.

    Parameters
    ----------
    settings, engines, clients, folder, workers
        As in :class:`SimulatedFederation`.
    draw
        Where noise comes from; others than the system's entropy are for tests.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        engines: Sequence[Engine],
        clients: Sequence[Examples],
        folder: Path | None = None,
        draw: Draw = secrets.token_bytes,
        workers: Workers | None = None,
    ) -> None:
        super().__init__(settings, engines, clients, folder, workers=workers)
        wanted = clients_of_round(settings, len(clients))
        self._noise = shared_noise_of(settings, wanted, self._architecture)
        self._draw = draw
        self._octaves: tuple[int, ...] = ()

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
    ) -> tuple[Weights, float] | None:
        """Add up what the clients send; give the next weights, and the mean training loss."""
        architecture, noise = self._architecture, self._noise
        if noise:
            ring = noise.ring(self._settings.ring_bits, invited, architecture)
        else:
            octaves = self._octaves or first_octaves(weights, architecture)
            ring = round_ring(self._settings, invited, octaves)
        guaranteed, length = needed_of(invited, FEWEST_DEVICES), ring_size(ring, architecture)
        self._update_bytes = packed_size(length, ring.bits)
        if noise and len(answering) < guaranteed:
            return None

        def codec_of(index: int) -> RingCodec:
            return RingCodec(ring, len(self._clients[index]))

        total = np.zeros(length, np.uint32)
        for index, outcome in self._contributions(number, weights, answering, codec_of):
            numbers = summand(outcome, codec_of(index), architecture)
            if noise:
                numbers = with_noise(numbers, ring, guaranteed, first=noise.first, draw=self._draw)
            add(total, numbers, ring)
        if noise:
            found = read_private_sum(total, noise.clients, ring, architecture)
        else:
            found = read_sum(total, len(answering), ring, architecture)
        step = self._settings.step_length(number)
        result = self._strategy.follow(weights, found.direction, length=step)
        self._octaves = found.octaves
        return result, found.loss
