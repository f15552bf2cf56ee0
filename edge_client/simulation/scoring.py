"""A model put to a test: what it recognised, and how sure it was."""

from dataclasses import dataclass
from pathlib import Path

from edge_client.learning.training import Engine
from shared.metrics import Scores, confusion, mean_loss, predicted
from shared.model_notes.calibration import UNMEASURED, Calibration, Reliability, load_calibration
from shared.training import Examples
from shared.weights import Weights


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test came to.

    Attributes
    ----------
    scores
        Of the answers.
    loss
        Mean cross-entropy of the logits as they are, in nats.
    reliability
        How often answers were right, by their calibrated probability.
    """

    scores: Scores
    loss: float
    reliability: Reliability


def score(engine: Engine, weights: Weights, calibration: Calibration, examples: Examples) -> Tested:
    """Test a model on normalised utterances; there is at least one."""
    names, labels = engine.architecture.task.names, examples.labels
    logits = engine.logits(weights, examples.features, examples.frames)
    matrix = confusion(labels, predicted(logits), len(names))
    reliability = Reliability.of(calibration.probabilities(logits, examples.doubts), labels)
    return Tested(Scores.from_confusion(matrix, names), mean_loss(logits, labels), reliability)


def calibrate(
    engine: Engine, weights: Weights, validation: Examples, initial: Path | None
) -> Calibration:
    """Measure how sure a model may be, on the validation split.

    Without one nothing is measured, and the model keeps the temperature of the one that training
    began from, if that had one.
    """
    if len(validation):
        logits = engine.logits(weights, validation.features, validation.frames)
        return Calibration.measured(logits, validation.labels, validation.doubts)
    return load_calibration(initial).inherited() if initial else UNMEASURED
