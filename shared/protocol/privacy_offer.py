"""What an announcement says of a privacy budget."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from shared.protocol.fields import RoundNumber


class PrivacyOffer(BaseModel):
    """How much all models of a federation tell of one device at most, and whose noise it takes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epsilon: Annotated[FiniteFloat, Field(gt=0, le=1000)]
    """Of all rounds together."""
    delta: Annotated[FiniteFloat, Field(gt=0, le=0.1)]
    """The delta that belongs to it."""
    rounds: RoundNumber
    """The last round: none follows."""
    noise_by: Literal["aggregator", "devices"]
    """Who adds the noise: the aggregator, which sees each update without it, or the devices of
    secure rounds, before they mask their updates."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        whose = {
            "aggregator": "the aggregator adds the noise, and sees each update without it",
            "devices": "devices add the noise before they mask their updates",
        }[self.noise_by]
        return f"{self.promise}; {whose}"

    @property
    def promise(self) -> str:
        """What models tell of a device at most, in words."""
        return f"epsilon {self.epsilon:g} with delta {self.delta:g} for all {self.rounds} rounds"
