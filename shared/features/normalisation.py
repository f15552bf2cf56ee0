"""Normalising features by the mean and the standard deviation of true frames.

The paper feeds raw features to its models (``none``). ``corpus`` normalises all by the statistics
of the training set; ``device`` normalises each device's by the running statistics of what that
device has heard, labelled or not, which never leave it. A simulation computes both with the same
code as a device.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.features.prior import Prior
from shared.frames import normalised
from shared.front_ends import FrontEnd

FEWEST_SECONDS: Final = 1.0
"""Below this many seconds of frames statistics say nothing, and features stay as they are: 10
frames of ``paper34``, 100 of ``mfcc40``."""

FEWEST_UTTERANCES: Final = 4
"""The same for a front end that makes one row of an utterance."""

MOST: Final = 1e24
"""What no part of a state goes beyond, for each utterance or frame that was heard: far beyond what
sounds give, and its square is finite."""

_Moments = NDArray[np.float64]


class RunningStatistics:
    """Mean and variance of each feature over all frames seen so far.

    Frames are not kept; batches are merged by Chan, Golub & LeVeque, *Updating formulae and a
    pairwise algorithm for computing sample variances* (1979), in float64.

    Parameters
    ----------
    front_end
        What computes the frames.
    prior
        What they begin with; nothing, if not given.

    Attributes
    ----------
    count
        Number of frames, those that a prior counts for among them.
    mean
        Shape ``(features,)``, float64.
    m2
        Sum of squared deviations from the mean, shape ``(features,)``, float64.
    prior
        Digest of the prior that they began with; ``None`` without one.
    """

    def __init__(self, front_end: FrontEnd, prior: Prior | None = None) -> None:
        features = front_end.shape.features
        self._fewest = front_end.frames_of(FEWEST_SECONDS) or FEWEST_UTTERANCES
        self.count = 0
        self.mean: _Moments = np.zeros(features)
        self.m2: _Moments = np.zeros(features)
        self.prior: str | None = None
        if prior:
            self.prior = prior.digest
            self.count, self.mean = prior.count, prior.mean.copy()
            self.m2 = float(prior.count) * np.square(prior.deviation)

    @property
    def std(self) -> _Moments:
        """Standard deviation of each feature, shape ``(features,)``; zero before any frame."""
        std: _Moments = np.sqrt(self.m2 / max(self.count, 1))
        return std

    def update(self, frames: NDArray[np.float32]) -> None:
        """Take in true frames (no padding).

        Parameters
        ----------
        frames
            Shape ``(n, features)``, n may be zero.

        Raises
        ------
        ValueError
            If the shape is another, or a value is not finite: nothing is then taken in.
        """
        if frames.shape[1:] != self.mean.shape:
            raise ValueError(f"frames should have shape (n, {len(self.mean)}), not {frames.shape}")
        batch = frames.astype(np.float64)
        if not np.isfinite(batch).all():
            raise ValueError("frames should be finite")
        if len(batch):
            mean = batch.mean(axis=0)
            self._merge(len(batch), mean, np.square(batch - mean).sum(axis=0))

    def normalise(
        self, features: NDArray[np.float32], frames: NDArray[np.integer[Any]] | int
    ) -> NDArray[np.float32]:
        """Normalise utterances; padding stays zero.

        Parameters
        ----------
        features
            Shape ``(..., L, features)``, float32; left as it is.
        frames
            Shape ``(...)``: the true number of frames of each utterance.

        Returns
        -------
        numpy.ndarray
            Same shape, float32, within ±:data:`shared.frames.CLIP`; a plain copy if frames of fewer
            than :data:`FEWEST_SECONDS`, or rows of fewer than :data:`FEWEST_UTTERANCES`, have been
            seen.
        """
        if self.count < self._fewest:
            return features.copy()
        true = np.arange(features.shape[-2]) < np.asarray(frames)[..., None]
        found = normalised(features, self.mean, self.std)
        found[~true] = 0
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the state as numbers and lists, for JSON; :meth:`from_dict` restores it exactly."""
        state = {"count": self.count, "mean": self.mean.tolist(), "m2": self.m2.tolist()}
        return state | ({"prior": self.prior} if self.prior else {})

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], front_end: FrontEnd) -> Self:
        """Restore what :meth:`to_dict` gave.

        Raises
        ------
        ValueError
            If it is not such a state, or of another number of features: a part missing, negative or
            not finite.
        """
        try:
            statistics = cls(front_end)
            statistics.count = int(state["count"])
            statistics.mean = np.array(state["mean"], np.float64)
            statistics.m2 = np.array(state["m2"], np.float64)
            statistics.prior = state.get("prior") and str(state["prior"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("these are not running statistics") from error
        wanted = front_end.shape.features
        moments = np.stack([statistics.mean, statistics.m2])
        # So put, NaN is too large as well.
        within = (np.abs(moments) <= MOST * max(1, statistics.count)).all()
        if moments.shape != (2, wanted) or not within:
            raise ValueError(f"running statistics should be {wanted} finite means and m2")
        if statistics.count < 0 or (statistics.m2 < 0).any():
            raise ValueError("running statistics should not be negative")
        return statistics

    def _merge(self, count: int, mean: _Moments, m2: _Moments) -> None:
        total = self.count + count
        change = mean - self.mean
        self.mean = self.mean + change * (count / total)
        self.m2 = self.m2 + m2 + change**2 * (self.count * count / total)
        self.count = total
