"""Randomness from one seed, through named streams.

A stream belongs to what it is for (``"partition"``, or ``"training", client, round``), not to when
it is drawn from. So the same seed gives the same result whatever the order of work, after a
resumption, and on a device as in a simulation.
"""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Open the random stream of this seed and these names.

    Parameters
    ----------
    seed
        The seed of the whole run or federation.
    *names
        What the stream is for, from the general to the particular.

    Returns
    -------
    numpy.random.Generator
        PCG64, seeded by the SHA-256 of the seed and the names.
    """
    key = "\x1f".join([str(seed), *map(str, names)]).encode()
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key).digest())))
