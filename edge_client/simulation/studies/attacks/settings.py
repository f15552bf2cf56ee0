"""The settings of the attacks: a field an option of ``edge-client experiment attacks``."""

from typing import Annotated, ClassVar

from pydantic import Field

from edge_client.simulation.settings import SimulationSettings


class LeakageSettings(SimulationSettings):
    """What determines the study: the model, its training, and what attacked devices hold."""

    panel: ClassVar[str] = "Attacked devices"

    held: Annotated[int, Field(ge=1, le=10_000)] = 8
    """Utterances of one speaker that each attacked device holds."""
    noise_epsilon: Annotated[float, Field(gt=0, le=1000)] = 8.0
    """Budget of the noise that is tried as a defence."""
