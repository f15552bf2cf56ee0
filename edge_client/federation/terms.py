"""A device's own terms: what a federation may ask of it, whatever is announced."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from shared.protocol.fields import MOST_EXAMPLES
from shared.round_settings import MOST_ASKED, MOST_SECURE
from shared.settings import Settings
from shared.training import TrainingSettings

if TYPE_CHECKING:  # --help does without messages
    from shared.protocol.secure_offer import SecureOffer


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
    secure_only: bool = False
    """Take part only in secure rounds, in which nobody sees a single update."""
    fewest_others: Annotated[int, Field(ge=2, le=MOST_SECURE - 1)] = 2
    """Take part only in secure rounds whose sum has updates of so many other devices or more."""
    most_strangers: Annotated[int, Field(ge=0, le=MOST_SECURE)] | None = None
    """Take part only in secure rounds with so many devices at most that this one has never been
    invited with before, by the aggregator's word alone; any number if not given."""

    def objection(
        self, training: TrainingSettings, examples: int, secure: "SecureOffer | None" = None
    ) -> str | None:
        """Say what a round asks for that these terms do not allow; ``None`` if they allow it.

        Parameters
        ----------
        training
            How the round trains.
        examples
            How many labelled examples the device has; :attr:`fewest_examples` is looked at where
            the federation's own least is.
        secure
            What was announced of secure rounds; ``None`` if rounds are not secure.
        """
        if secure is None and self.secure_only:
            return (
                "the aggregator of the federation would see this device's update, and the "
                "device's terms ask for secure rounds"
            )
        if secure and secure.fewest <= self.fewest_others:
            return (
                f"the sum of a secure round may be of {secure.fewest} devices, and this device's "
                f"terms ask for {self.fewest_others} others or more"
            )
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
