"""How a new global model travels down: whole, or as the difference to the one before.

A lossy codec cannot bring every device to the model that the strategy has computed. So the model
is made of what travels: the previous one plus the difference as it is read. Whoever has the
previous model comes to exactly the new one, and what the codec lost is added to the next difference
(error feedback, as in :mod:`shared.codecs.update_file`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.arithmetic import writable
from shared.architectures import Architecture
from shared.codecs.codec import Codec
from shared.codecs.update_file import EncodedUpdate, encode_update
from shared.weights import Vector, Weights, added, pieces

_RESIDUAL = "download_residual"


class Download:
    """Makes of the model that a strategy has computed the one that is published.

    Parameters
    ----------
    codec
        What differences are written in; ``None``: models travel whole.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self.codec = codec
        self._residual: Weights | None = None

    @property
    def memory(self) -> dict[str, Weights]:
        """What the next round needs: what the last difference lost, shape ``(parameters,)``."""
        return {} if self._residual is None else {_RESIDUAL: self._residual}

    def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Take back what :attr:`memory` gave; names of others are left aside."""
        self._residual = memory.get(_RESIDUAL)

    @staticmethod
    def owns(name: str) -> bool:
        """Say whether an array among what is remembered is of the download."""
        return name == _RESIDUAL

    def publish(
        self,
        before: Vector,
        computed: Weights,
        architecture: Architecture,
        rng: np.random.Generator,
    ) -> tuple[Weights, EncodedUpdate | None]:
        """Give the model to publish, and its difference to the one before.

        Parameters
        ----------
        before
            The global weights of the round.
        computed
            What the strategy has made of them, shape ``(parameters,)``. Its memory is used, unless
            it is that of ``before``.
        architecture
            What both belong to.
        rng
            ``stream(seed, "download", round)``, on an aggregator as in a simulation.

        Returns
        -------
        published : Weights
            The next global weights, shape ``(parameters,)``.
        difference : EncodedUpdate or None
            What leads there from ``before``; ``None`` if models travel whole.

        Raises
        ------
        TrainingError
            If a value is not finite.
        """
        if self.codec is None:
            return computed, None
        computed = writable(computed, before)
        for where in pieces(len(computed)):
            computed[where] -= before[where]
        difference = encode_update(computed, architecture, self.codec, rng, residual=self._residual)
        self._residual = difference.residual
        return added(before, difference.delta), difference
