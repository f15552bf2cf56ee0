"""What the paper reports, to be printed beside our results.

Chau & Garces, *Federated Learning for Emotion Recognition* (Columbia, 2021), experiment 1, on
IEMOCAP. The test there is a random tenth, not speaker-independent; the dense and conv baselines
were fitted with labels that had not been shuffled along with the features, and all chroma features
were zero.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PaperScores:
    """One cell of the paper's tables.

    Attributes
    ----------
    accuracy, recall, precision, macro_f1
        In [0, 1].
    seconds
        Of training, on the authors' machine.
    """

    accuracy: float
    recall: float
    precision: float
    macro_f1: float
    seconds: int


PAPER_SCORES: Final[dict[tuple[str, str], PaperScores]] = {
    ("dense", "baseline"): PaperScores(0.26, 0.23, 0.23, 0.22, 480),
    ("dense", "random"): PaperScores(0.51, 0.49, 0.51, 0.49, 627),
    ("dense", "single-emotion"): PaperScores(0.21, 0.25, 0.05, 0.09, 480),
    ("conv", "baseline"): PaperScores(0.32, 0.25, 0.24, 0.16, 460),
    ("conv", "random"): PaperScores(0.41, 0.38, 0.41, 0.37, 316),
    ("conv", "single-emotion"): PaperScores(0.23, 0.25, 0.06, 0.09, 277),
    ("lstm", "baseline"): PaperScores(0.41, 0.35, 0.44, 0.31, 5740),
    ("lstm", "random"): PaperScores(0.43, 0.40, 0.43, 0.35, 5407),
    ("lstm", "single-emotion"): PaperScores(0.22, 0.25, 0.06, 0.09, 4645),
}
"""By model and partition."""
