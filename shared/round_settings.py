"""What determines a federation's course over its rounds, simulated or real."""

import math
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.settings import Settings
from shared.training import NotNegative, Positive, TrainingSettings

LONGEST_NAME: Final = 64
"""Characters of the name of a strategy or a codec: as many as messages take."""

MOST_ROUNDS: Final = 1_000_000
"""Rounds of a federation, and so the largest number of one."""

MOST_CLIENTS: Final = 10_000
"""Clients that may be present at once; further ones are not invited. Their names must fit into an
announcement."""

MOST_SECURE: Final = 100
"""Devices of a secure round."""

MOST_ASKED: Final = 1000
"""Labelled examples that a federation may ask a device for. A listening device trains on its newest
2,000 at most: more might never be there."""

MOST_COUNTED: Final = 1000
"""Examples of a device that a secure round may count, at most. Announcements cannot say more."""

LONGEST_ROUND: Final = 31_536_000.0
"""Seconds of a round, a year, until its deadline."""

DOWNLOAD_CODECS: Final = ("float16", "int8")
"""What the difference between two global models may be written in."""

Share = Annotated[float, Field(ge=0, lt=1)]


class RoundSettings(Settings):
    """Rounds, and how the server uses the updates."""

    panel: ClassVar[str] = "Rounds and strategy"

    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    """Number of the last round; there is none if not given."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the clients' learning rate over the rounds: cosine falls to zero."""
    strategy: Annotated[str, Field(max_length=LONGEST_NAME)] = "fedavg"
    """fedavg, fedavgm, fedadam, fedyogi, fedadagrad, median, trimmed-mean, krum, multi-krum,
    scaffold, or one of your own: its name, or package.module:Name."""
    server_learning_rate: Positive | None = None
    """Learning rate of the server's optimiser; the strategy's own default if not given."""
    server_momentum: Share | None = None
    """Momentum of fedavgm."""
    server_schedule: Literal["constant", "cosine"] = "constant"
    """Course of the length of the server's steps over the rounds."""
    bound_norm: NotNegative = 1.0
    """Shorten an update to so many times the median norm of the last rounds' updates (the first
    round's is its own); 0: never."""
    bound_weight: NotNegative = 1.0
    """Count a client's examples up to so many times the median of the round's; 0: all of them."""
    averaging: Share = 0.0
    """Decay of a running average of the rounds' global models, which is then the model that is
    scored and kept (Polyak averaging; compare Izmailov et al., 2018); 0 keeps the last one."""
    beta1: Share | None = None
    """First moment's decay in fedadam, fedyogi and fedadagrad."""
    beta2: Share | None = None
    """Second moment's decay in fedadam and fedyogi."""
    download_codec: Literal["none", "float16", "int8"] = "none"
    """How a new model travels to devices that have the one before: whole (none), or as the
    difference to it with 2 bytes a value (float16) or 1 (int8); what that loses comes with the
    next."""
    tau: Positive | None = None
    """Adaptivity of fedadam, fedyogi and fedadagrad."""
    bias_correction: bool | None = None
    """Correct fedadam's moments for their start at zero, as Keras does; Reddi et al. do not."""
    trim: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """Share that trimmed-mean cuts off at each end."""
    byzantine: Annotated[int, Field(ge=0, le=MOST_CLIENTS)] | None = None
    """Number of hostile clients that krum and multi-krum withstand."""
    select: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] | None = None
    """Number of updates that multi-krum averages."""

    @model_validator(mode="after")
    def _check_schedules(self) -> Self:
        if self.rounds is None and "cosine" in (self.schedule, self.server_schedule):
            raise ValueError("a cosine schedule needs rounds: it ends with the last one")
        return self


class SecureSettings(Settings):
    """How updates are added up so that the server learns their sum and nothing else."""

    panel: ClassVar[str] = "Secure aggregation"

    secure: bool = False
    """Add the updates up as whole numbers in a ring: what devices can mask, so that the server
    learns the sum alone. No single update is seen or bounded then."""
    ring_bits: Annotated[int, Field(ge=8, le=16)] = 13
    """Bits of a number in the ring, of a secure round. All clients' sum has to fit: the more they
    are, the coarser are their numbers."""
    ring_examples: Annotated[int, Field(ge=1, le=MOST_COUNTED)] = 100
    """Count a client's examples up to so many, in a secure round; all weigh the same with a
    dp_epsilon."""

    @model_validator(mode="after")
    def _check_ring(self) -> Self:
        for name in ("ring_bits", "ring_examples"):
            if not self.secure and getattr(self, name) != SecureSettings.model_fields[name].default:
                raise ValueError(f"{name} is for secure rounds: give secure too")
        given = self.ring_examples != SecureSettings.model_fields["ring_examples"].default
        if given and getattr(self, "dp_epsilon", None) is not None:
            raise ValueError("ring_examples means nothing with dp_epsilon: all weigh the same")
        return self


class PrivacySettings(Settings):
    """How much the models of a federation may tell of one device."""

    panel: ClassVar[str] = "Differential privacy"

    dp_epsilon: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Add noise to each round's sum, so that all models together are differentially private with
    this epsilon, for all that one device ever sends."""
    dp_delta: Annotated[float, Field(gt=0, le=0.1)] = 1e-5
    """The delta that belongs to it: smaller than one over the number of devices."""


STRATEGY_OPTIONS: Final = (
    "server_learning_rate",
    "server_momentum",
    "beta1",
    "beta2",
    "tau",
    "bias_correction",
    "trim",
    "byzantine",
    "select",
)
"""Settings that are handed to the strategy where they are given."""


class FederatedSettings(TrainingSettings, RoundSettings, PrivacySettings):
    """How clients train in each round, and what becomes of their updates."""

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if self.dp_epsilon is not None and self.rounds is None:
            raise ValueError("dp_epsilon needs rounds: it is a budget for all of them together")
        if self.dp_epsilon is None and self.dp_delta != type(self).model_fields["dp_delta"].default:
            raise ValueError("dp_delta adds no noise by itself: give dp_epsilon, too")
        return self

    @property
    def largest_update(self) -> float | None:
        """The Euclidean norm that clients shorten an update to; ``None``: they do not."""
        return self.clip_norm or (1.0 if self.dp_epsilon else None)

    def announced(self, number: int) -> TrainingSettings:
        """Give the training settings that clients are told in round ``number`` (from 1)."""
        settings = self.part(TrainingSettings)
        rate = self.learning_rate * self._course(self.schedule, number)
        return settings.model_copy(update={"learning_rate": rate, "clip_norm": self.largest_update})

    def step_length(self, number: int) -> float:
        """Give what the server's step of round ``number`` (from 1) is multiplied by."""
        return self._course(self.server_schedule, number)

    def _course(self, schedule: str, number: int) -> float:
        return cosine(number, self.rounds) if self.rounds and schedule == "cosine" else 1.0


def cosine(number: int, rounds: int) -> float:
    """Give the factor of a cosine schedule in round ``number``: from 1 down towards 0."""
    return 0.5 * (1 + math.cos(math.pi * (number - 1) / rounds))
