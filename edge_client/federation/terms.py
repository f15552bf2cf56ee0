"""A device's own terms: what a federation may ask of it, whatever is announced."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator

from shared.protocol.fields import MOST_EXAMPLES
from shared.round_settings import MOST_ASKED, MOST_SECURE
from shared.settings import Settings
from shared.training import TrainingSettings

if TYPE_CHECKING:  # --help does without messages
    from shared.protocol.messages import Offer
    from shared.protocol.privacy_offer import PrivacyOffer
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
    """Train only in rounds whose batch size is so many examples or more; the last step of an epoch
    may be of fewer."""
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
    most_epsilon: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Take part only in federations with a privacy budget whose epsilon is so much at most; any, or
    none, if not given. Without secure rounds it is the aggregator who adds the noise: this device
    has to trust it."""
    most_delta: Annotated[float, Field(gt=0, le=0.1)] = 1e-5
    """The delta of such a budget, at most."""

    @model_validator(mode="after")
    def _check_delta(self) -> Self:
        if (
            self.most_epsilon is None
            and self.most_delta != type(self).model_fields["most_delta"].default
        ):
            raise ValueError("most_delta asks for no budget by itself: give most_epsilon, too")
        return self

    def objection(
        self,
        training: TrainingSettings,
        examples: int,
        secure: "SecureOffer | None" = None,
        privacy: "PrivacyOffer | None" = None,
    ) -> str | None:
        """Say what a round asks for that these terms do not allow; ``None`` if they allow it.

        Parameters
        ----------
        training
            How the round trains.
        examples
            How many labelled examples the device trains on; :attr:`fewest_examples` is looked at
            where the federation's own least is.
        secure
            What was announced of secure rounds; ``None`` if rounds are not secure.
        privacy
            What was announced of a privacy budget; ``None`` if there is none.
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
        if beyond := self._beyond(privacy):
            return beyond
        if training.batch_size < self.smallest_batch:
            return (
                f"the federation asks for a batch size of {training.batch_size}, and this "
                f"device's terms for {self.smallest_batch} or more"
            )
        return self.too_few_steps(training, examples)

    def too_few_steps(self, training: TrainingSettings, examples: int) -> str | None:
        """Say that training on so many examples is of fewer steps than these terms allow."""
        if (steps := training.total_steps(examples)) >= self.fewest_steps:
            return None
        return (
            f"the federation asks for a step count of {steps}, and this device's terms for "
            f"{self.fewest_steps} or more"
        )

    def _beyond(self, privacy: "PrivacyOffer | None") -> str | None:
        """Say that models may tell more of this device than its terms allow."""
        if self.most_epsilon is None:
            return None
        asks = (
            f"this device's terms ask for an epsilon of {self.most_epsilon:g} or less with a delta "
            f"of {self.most_delta:g} or less"
        )
        if privacy is None:
            return f"the federation states no privacy budget, and {asks}"
        if privacy.epsilon <= self.most_epsilon and privacy.delta <= self.most_delta:
            return None
        return (
            f"the federation's privacy budget is an epsilon of {privacy.epsilon:g} with a delta of "
            f"{privacy.delta:g}, and {asks}"
        )

    def told(self, examples: int) -> int:
        """Give the number of examples that the aggregator is told."""
        return examples if self.most_counted is None else min(examples, self.most_counted)

    def as_told(self, offer: "Offer") -> "Offer":
        """Give what an update is offered with, that tells no more than these terms allow.

        It may have been finished under others.
        """
        if self.most_counted is None:
            return offer
        told = {"examples": self.told(offer.examples), "confusion": None}
        return offer.model_copy(update=told)
