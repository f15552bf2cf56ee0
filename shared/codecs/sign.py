"""The sign of every value, and the mean magnitude of each channel: 1 bit a value.

With what it leaves out in the next update this is 1-bit SGD (Seide et al., 2014:
https://doi.org/10.21437/Interspeech.2014-274) and EF-signSGD (Karimireddy et al., 2019:
https://arxiv.org/abs/1901.09847). It suits the updates of clients that train with Adam, whose
steps are about equally long for every weight.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import SCALES, Arrays, Codec, Decoded, Form, check_vector, pieces
from shared.codecs.scales import Scales, read_scales
from shared.weights import Vector, Weights

_BITS: Final = "bits"


class Sign(Codec):
    """Writes a set bit for a value that is not negative, eight to a byte, the lowest bit first."""

    name = "sign"
    _scales = Scales(per_channel=True)

    def layout(self, architecture: Architecture) -> dict[str, Form]:
        """See :class:`Codec`."""
        return {
            _BITS: Form("U8", -(-architecture.parameters // 8)),
            SCALES: Form("F32", self._scales.count(architecture)),
        }

    def encode(
        self, vector: Weights, architecture: Architecture, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """See :class:`Codec`; nothing is drawn from ``rng``."""
        del rng
        check_vector(vector, architecture)
        sums = np.zeros(self._scales.count(architecture))
        counts = np.zeros(len(sums))
        for where, piece in self._scales.pieces(vector, architecture):
            sums[where] += np.abs(piece).sum(0, dtype=np.float64)
            counts[where] += len(piece)
        bits = [np.packbits(vector[p] >= 0, bitorder="little") for p in pieces(len(vector))]
        return {_BITS: np.concatenate(bits), SCALES: (sums / counts).astype("<f4")}

    def decode(self, arrays: Arrays, architecture: Architecture) -> Vector:
        """See :class:`Codec`."""
        return _Signs(arrays, architecture, self._scales)


class _Signs(Decoded):
    """A vector of which the signs were written."""

    def __init__(self, arrays: Arrays, architecture: Architecture, scales: Scales) -> None:
        super().__init__(architecture.parameters)
        self._arrays = arrays
        self._architecture = architecture
        self._kind = scales
        self._scales = read_scales(arrays, scales.count(architecture))

    def fill(self, out: Weights, start: int) -> None:
        stop = start + len(out)
        out[:] = self._kind.along(self._scales, self._architecture, slice(start, stop))
        first = start // 8
        packed = self._arrays.read(_BITS, first, -(-stop // 8))
        bits = np.unpackbits(packed, bitorder="little")[start - 8 * first :][: len(out)]
        np.copysign(out, np.subtract(bits, 0.5, dtype=np.float32), out=out)
