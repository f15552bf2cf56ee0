"""The sign of every value, and one magnitude for each channel: 1 bit a value.

With what it leaves out in the next update this is 1-bit SGD (Seide et al., 2014:
https://doi.org/10.21437/Interspeech.2014-274) and EF-signSGD (Karimireddy et al., 2019:
https://arxiv.org/abs/1901.09847). It suits the updates of clients that train with Adam, whose
steps are about equally long for every weight.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import Arrays
from shared.codecs.every_value import EveryValue
from shared.codecs.scales import Scales
from shared.weights import Vector, Weights

STRETCH: Final = 1.5
"""What the mean magnitude is multiplied by.

The mean magnitude alone is closest to one update, but goes only about half as far in its direction;
the rest comes with the client's next update, rounds later. Of the average of many updates what is
missing in each is missing, while what is too much in some directions cancels out: DRIVE (Vargaftik
et al., 2021: https://arxiv.org/abs/2105.08339) goes the whole way for that reason. With a residual
the stretch must stay below 2, where what is left out would grow from update to update; 1.5 was
chosen by the loss in training, of 1, 1.25, 1.5 and 1.75.
"""


class Sign(EveryValue):
    """Writes a set bit for a value that is not negative, eight to a byte, the lowest bit first.

    Parameters
    ----------
    per_channel
        As of :class:`Scales`.
    zeros
        Whether values that are zero count in the mean; where they are those that were not kept,
        they should not.
    """

    name = "sign"
    dtype = "U8"
    array = "bits"
    scaling: Scales

    def __init__(self, *, per_channel: bool, zeros: bool) -> None:
        self.scaling = Scales(per_channel)
        self._zeros = zeros

    def scales(self, vector: Vector, architecture: Architecture) -> Weights:
        """Compute the stretched mean magnitude of each tensor or channel."""
        sums = np.zeros(self.scale_count(architecture))
        counts = np.zeros(len(sums))
        for where, piece in self.scaling.columns(vector, architecture):
            sums[where] += np.abs(piece).sum(0, dtype=np.float64)
            counts[where] += len(piece) if self._zeros else np.count_nonzero(piece, axis=0)
        stretched = STRETCH * sums / np.maximum(counts, 1)
        scales: Weights = np.minimum(stretched, np.finfo(np.float32).max).astype("<f4")
        return scales

    def packed_size(self, values: int) -> int:
        """See :class:`EveryValue`."""
        return -(-values // 8)

    def packed(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        return np.packbits(numbers, bitorder="little")

    def unpacked(self, arrays: Arrays, start: int, stop: int) -> NDArray[Any]:
        """See :class:`EveryValue`."""
        first = start // 8
        packed = arrays.read(self.array, first, -(-stop // 8))
        return np.unpackbits(packed, bitorder="little")[start - 8 * first :][: stop - start]

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        """See :class:`EveryValue`; nothing is drawn from ``rng``."""
        del along, rng
        return values >= 0

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        """See :class:`EveryValue`."""
        return np.copysign(along, np.subtract(numbers, 0.5, dtype=np.float32))
