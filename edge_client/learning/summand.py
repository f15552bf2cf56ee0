"""What a client adds to a secure round's sum: its update and what it counts, as whole numbers."""

import math

import numpy as np

from edge_client.learning.client_round import Contribution
from shared.architectures import Architecture
from shared.codecs.codec import VALUES
from shared.codecs.ring import RingCodec
from shared.codecs.update_file import DELTA, EncodedUpdate
from shared.secure.masks import Numbers
from shared.tally import Tally
from shared.weights import pieces


def summand(contribution: Contribution, codec: RingCodec, architecture: Architecture) -> Numbers:
    """Put together what a client adds.

    Parameters
    ----------
    contribution
        What came of its round, encoded by ``codec``.
    codec
        The round's ring, for this client.
    architecture
        The model.

    Returns
    -------
    numpy.ndarray
        Shape ``(ring_size,)``, uint32: the update's numbers, then those of its tally; those of a
        private round lack their noise (:func:`.shared_noise.with_noise`), and there is no tally.
    """
    ring, values = codec.ring, contribution.encoded.tensors[DELTA + VALUES].astype(np.uint32)
    if ring.noise:
        return values
    counts = contribution.confusion or np.zeros([architecture.labels] * 2, np.int64)
    tally = Tally(
        ring.weight(contribution.examples),
        contribution.loss,
        np.array(counts, np.int64),
        _octaves(contribution.encoded, codec, architecture),
    )
    return np.concatenate([values, tally.numbers(ring)])


def _octaves(
    encoded: EncodedUpdate, codec: RingCodec, architecture: Architecture
) -> tuple[int, ...]:
    """Say which power of two the values of each tensor reach, before any was cut off.

    A client that has learned nothing there says what was announced.
    """
    found = []
    for spec, announced in zip(architecture.manifest, codec.ring.octaves, strict=True):
        largest = codec.share * _largest(encoded, spec.where)
        found.append(math.frexp(largest)[1] if largest else announced)
    return tuple(found)


def _largest(encoded: EncodedUpdate, where: slice) -> float:
    """Find the largest magnitude of what was to be encoded."""
    largest = 0.0
    for piece in pieces(where):
        values = encoded.delta[piece]
        if encoded.residual is not None:
            values = values + encoded.residual[piece]
        largest = max(largest, float(np.abs(values).max()))
    return largest
