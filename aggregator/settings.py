"""The settings of a real federation: what the aggregator decides."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.architectures import MODELS, architecture_of
from shared.environment import Prefix
from shared.protocol.fields import Name
from shared.round_settings import (
    LONGEST_NAME,
    LONGEST_ROUND,
    MOST_ASKED,
    MOST_CLIENTS,
    MOST_SECURE,
    FederatedSettings,
    SecureSettings,
)
from shared.settings import Settings, Several
from shared.storage.folders import state_folder
from shared.task_settings import TaskSettings
from shared.training import Positive, Seed

USUAL_HOURS: Final = 24.0
"""How long an invitation is good if nothing else is said."""

FEWEST_HOURS, MOST_HOURS = 0.01, 24.0 * 366
"""Between these it can be chosen."""

_MOST_CODECS: Final = 16
"""As many as an announcement may list."""


class StateSettings(Settings):
    """Where the aggregator keeps a federation."""

    environment: ClassVar[Prefix] = "CHORUS_AGGREGATOR_"
    panel: ClassVar[str] = "State"

    state: Path | None = None
    """Folder for all that the aggregator keeps: `$XDG_STATE_HOME/chorus-aggregator` or
    `~/.local/state/chorus-aggregator` if not given. One federation a folder."""

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.state or state_folder("chorus-aggregator")

    @classmethod
    def find(cls, given: Mapping[str, Any], config: Path | None) -> Path:
        """Find the state folder; the file may hold all the other settings of `serve` too.

        Raises
        ------
        SettingsError
            If the file cannot be read.
        """
        return cls.collect_part(given, config).folder


class ParticipationSettings(Settings):
    """Who takes part in a round, and when it ends."""

    panel: ClassVar[str] = "Who takes part"

    quorum: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] = 2
    """Clients that must be present, and allowed to train, for a round to open."""
    clients_per_round: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] | None = None
    """Number of updates wanted in a round, instead of a fraction."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the clients present that a round wants updates of."""
    over_selection: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Share of clients invited beyond those wanted (0.3 invites 13 for 10): the round closes when
    as many have answered as are wanted, and the slowest are refused (Bonawitz et al., 2019)."""
    round_seconds: Annotated[float, Field(gt=0, le=LONGEST_ROUND, allow_inf_nan=False)] = 600.0
    """Seconds from a round's opening to its deadline."""
    min_updates: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] = 1
    """Updates that must have come for a round to close at its deadline; with fewer it stays open
    for as long again, and others are invited too. Secure rounds go by --at-least."""
    by_invitation: bool = False
    """Listen to none but devices that have joined with an `aggregator invite`: they sign what they
    say, and a broker that this program can tell so gives each an account of its own."""
    clients: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Number of clients in the whole federation; scaffold needs to know it."""

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        if self.min_updates > self.quorum:
            raise ValueError(
                f"min_updates {self.min_updates} are more than the quorum of {self.quorum}"
            )
        if self.clients_per_round and self.min_updates > self.clients_per_round:
            raise ValueError(
                f"min_updates {self.min_updates} are more than the "
                f"{self.clients_per_round} clients_per_round"
            )
        return self


class PaceSettings(Settings):
    """When a round is worth it: people teach devices a few times a day, not all the time."""

    panel: ClassVar[str] = "When rounds open"

    new_examples: Annotated[int, Field(ge=0, le=MOST_ASKED)] = 5
    """Labelled examples that one of the devices must have, beyond those of its last accepted
    update, for a round to open. 0: it opens with nothing new, as devices with clips need it."""
    least_examples: Annotated[int, Field(ge=1, le=MOST_ASKED)] = 8
    """Labelled examples that a device must have to take part; it says how many it lacks."""
    every: Annotated[float, Field(ge=0, le=LONGEST_ROUND, allow_inf_nan=False)] = 14_400.0
    """Seconds between the openings of two rounds, at least; 0: at once."""


class UpdateSettings(Settings):
    """Which updates are welcome."""

    panel: ClassVar[str] = "Updates"

    codecs: Several = ("int8", "float32")
    """How clients may encode their updates: repeated, or separated by commas; the first is
    preferred."""
    largest_norm: Positive = 1000.0
    """Largest Euclidean norm of an update, over all weights together; one that is larger is
    refused. Look at the norms of `aggregator status` before you lower it."""
    most_examples: Annotated[int, Field(ge=1, le=10**9)] = 10_000
    """Most examples that a client may say it trained on; they are its weight in the average."""
    chunk: Annotated[int, Field(ge=1024, le=1 << 24)] = 1 << 16
    """Bytes of a chunk; hosted brokers take 65,536."""

    @model_validator(mode="after")
    def _check_codecs(self) -> Self:
        if not 0 < len(self.codecs) <= _MOST_CODECS:
            raise ValueError(f"codecs should name 1 to {_MOST_CODECS} codecs")
        if any(len(name) > LONGEST_NAME for name in self.codecs):
            raise ValueError(f"a name in codecs has more than {LONGEST_NAME} characters")
        return self


class SecureRoundsSettings(SecureSettings):
    """How devices add their updates up so that the aggregator learns their sum alone."""

    panel: ClassVar[str] = "Secure aggregation"

    at_least: Annotated[int, Field(ge=3, le=MOST_SECURE)] = 3
    """Fewest devices in the sum of a secure round; with fewer the round is abandoned."""


class ValidationSettings(Settings):
    """What new models are scored on."""

    panel: ClassVar[str] = "Scores"

    validation_corpus: str | None = None
    """Name of a corpus to score each new model on, as `edge-client corpora` lists them. Without
    one, models are scored by what clients tell of their own held-out examples."""
    validation_data: Path | None = None
    """Where that corpus lies."""
    validation_normalisation: Literal["none", "device"] = "device"
    """How its features are normalised: as devices do theirs, by the statistics of each speaker
    (device), or not at all."""


PACKAGED: Final = Path("starter")
"""Names the model that comes with the package, as what a federation begins with."""

FRESH: Final = Path("fresh")
"""Names random weights, as what a federation begins with."""


def is_name_of(initial: Path, named: Path) -> bool:
    """Say whether the weights to start from are named so, and are no file of this name."""
    return initial == named and not initial.exists()


_FIXED: Final = (
    "federation",
    *TaskSettings.model_fields,
    "model",
    "initial",
    "seed",
    "clients",
    "clients_per_round",
    "fraction",
    "over_selection",
    *SecureSettings.model_fields,
    *(name for name in FederatedSettings.model_fields if name != "rounds"),
)
"""Settings that the result depends on, besides which updates come in time."""


class AggregatorSettings(
    FederatedSettings,
    ParticipationSettings,
    PaceSettings,
    UpdateSettings,
    SecureRoundsSettings,
    ValidationSettings,
    TaskSettings,
    StateSettings,
):
    """Everything about a federation but its broker."""

    panel: ClassVar[str] = "Federation"

    federation: Name = "chorus"
    """Name of the federation; clients must give the same."""
    model: str = "conv"
    """The architecture: dense, conv, lstm, tdnn, tdnn13, mlp or head; or one that a package offers,
    on the devices too."""
    keep_models: Annotated[int, Field(ge=1, le=100_000)] = 20
    """How many models' files are kept, the newest, to export and to roll back to. Of the others
    the ledger keeps digest and ancestry."""
    initial: Path | None = None
    """Weights to start from (safetensors); `starter` is the model that comes with the package, for
    `--front-end whisper-speech --model head`, and `fresh` means random weights."""
    seed: Seed = 0
    """Seed of everything random: fresh weights, who is invited, the clients' shuffling."""

    @property
    def enough(self) -> int:
        """Clients that must be present for a round to open: a secure one is of some at least."""
        return max(self.quorum, self.at_least) if self.secure else self.quorum

    @property
    def fewest(self) -> int:
        """Updates that a round needs, and so wants at least."""
        return self.at_least if self.secure else self.min_updates

    def invitations(self, wanted: int) -> int:
        """Say how many clients are invited to a round that wants so many updates."""
        # The small number keeps 10 * 1.1, which is 11 and a rounding error, from becoming 12.
        invitations = math.ceil(wanted * (1 + self.over_selection) - 1e-9)
        return min(invitations, MOST_SECURE) if self.secure else invitations

    @model_validator(mode="after")
    def _check_secure(self) -> Self:
        from aggregator.strategies.settings import check_sum_is_enough

        if not self.secure:
            return self
        if not self.by_invitation:
            raise ValueError(
                "secure needs by_invitation: devices have to know whose keys the others' are"
            )
        if self.min_updates != ParticipationSettings.model_fields["min_updates"].default:
            raise ValueError("secure rounds go by at_least: leave out min_updates")
        if self.codecs != UpdateSettings.model_fields["codecs"].default:
            raise ValueError("secure rounds have a codec of their own: leave out codecs")
        if self.clients_per_round and not self.at_least <= self.clients_per_round <= MOST_SECURE:
            raise ValueError(
                f"a secure round is of {self.at_least} to {MOST_SECURE} clients_per_round, not "
                f"{self.clients_per_round}"
            )
        check_sum_is_enough(self)
        return self

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        from aggregator.strategies.settings import strategy_of

        MODELS.get(self.model)
        architecture_of(self.model, self.task)
        if ":" in self.model:
            raise ValueError(
                f"no device imports {self.model} because a message names it: let a package offer "
                "the model by an entry point of chorus.architectures, on the devices too"
            )
        strategy_of(self, self.clients)
        if self.dp_epsilon is not None and self.clients_per_round is None:
            raise ValueError(
                "dp_epsilon needs clients_per_round: sums are divided by a number that does not "
                "depend on who takes part"
            )
        return self

    def first_change(self, begun: Mapping[str, Any]) -> str | None:
        """Name a setting that a federation cannot change on its way.

        Parameters
        ----------
        begun
            The settings it was begun with, as :meth:`model_dump` gives them for JSON.

        Returns
        -------
        str or None
            The first whose change would change the result; ``None`` if there is none.
        """
        values = self.model_dump(mode="json")
        fixed = list(_FIXED)
        if "cosine" in (self.schedule, self.server_schedule):
            fixed.append("rounds")  # the schedules' length
        if self.dp_epsilon is not None:
            fixed.append("rounds")  # the noise of each is that of so many
        # A setting that a newer version brought was at its default before.
        before = {**AggregatorSettings().model_dump(mode="json"), **begun}
        return next((name for name in fixed if values[name] != before[name]), None)
