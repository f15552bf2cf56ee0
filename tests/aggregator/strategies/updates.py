"""Updates for the tests of strategies."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aggregator.strategies import Update
from shared.weights import Weights


def vector(*values: float) -> Weights:
    return np.array(values, np.float32)


def updates(
    deltas: Sequence[Sequence[float]], examples: Sequence[int] | None = None
) -> list[Update]:
    counts = examples or [1] * len(deltas)
    return [
        Update(f"client-{i:03d}", count, vector(*delta))
        for i, (delta, count) in enumerate(zip(deltas, counts, strict=True))
    ]


@st.composite
def rounds(draw: st.DrawFn, least: int = 1, *, exact: bool = False) -> list[Update]:
    """Draw a round of updates with control variates.

    The sums of ``exact`` ones have no rounding errors, so that ties are ties in every order.
    """
    clients = draw(st.integers(least, 9))
    shape = (clients, 2, draw(st.integers(1, 40)))
    elements = st.integers(-100, 100) if exact else st.floats(-10, 10, width=32)
    values = draw(arrays(np.float32, shape, elements=elements))
    examples = draw(st.lists(st.integers(1, 900), min_size=clients, max_size=clients))
    return [
        Update(f"client-{i:03d}", count, delta, control)
        for i, (count, (delta, control)) in enumerate(zip(examples, values, strict=True))
    ]
