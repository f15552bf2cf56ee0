"""A device's own terms: what a federation may ask of it, whatever is announced."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.protocol.messages import MOST_EXAMPLES
from shared.round_settings import MOST_ASKED
from shared.settings import Settings
from shared.training import TrainingSettings


class TermsSettings(Settings):
    """What a federation has to keep to; the device trains in no round that does not.

    The fewer examples and steps an update is made of, the more it tells of each example (Geiping et
    al., *Inverting Gradients*, NeurIPS 2020). An aggregator chooses both.
    """

    panel: ClassVar[str] = "The device's own terms"
    option_prefix: ClassVar[str] = "terms_"

    fewest_examples: Annotated[int, Field(ge=1, le=MOST_ASKED)] = 4
    """Train only on so many labelled examples or more."""
    smallest_batch: Annotated[int, Field(ge=1, le=1024)] = 4
    """Train only in rounds whose steps are of so many examples or more."""
    fewest_steps: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Train only in rounds of so many steps or more."""
    most_counted: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)] | None = None
    """Tell of so many examples at most, and be counted for no more; of all if not given. No table
    of what was recognised is sent then."""
    signed: bool = False
    """Take part only in federations that this device has joined by invitation."""

    def objection(self, training: TrainingSettings, examples: int) -> str | None:
        """Say what a round asks for that these terms do not allow; ``None`` if they allow it.

        Parameters
        ----------
        training
            How the round trains.
        examples
            How many labelled examples the device has; :attr:`fewest_examples` is looked at where
            the federation's own least is.
        """
        if training.batch_size < self.smallest_batch:
            return (
                f"the federation asks for a batch size of {training.batch_size}, and this "
                f"device's terms for {self.smallest_batch} or more"
            )
        if (steps := training.total_steps(examples)) < self.fewest_steps:
            return (
                f"the federation asks for a step count of {steps}, and this device's terms for "
                f"{self.fewest_steps} or more"
            )
        return None

    def told(self, examples: int) -> int:
        """Give the number of examples that the aggregator is told."""
        return examples if self.most_counted is None else min(examples, self.most_counted)
