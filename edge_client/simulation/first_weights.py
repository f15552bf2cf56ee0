"""The weights that a run begins with."""

from edge_client.simulation.own_model import OwnModel
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.randomness import stream
from shared.weights import Weights, initial_weights, load_weights


def first_weights(settings: SimulationSettings, architecture: Architecture) -> Weights:
    """Give the weights of ``--initial``, or fresh ones: shape ``(parameters,)``.

    Raises
    ------
    WeightsError
        If the weights to start from cannot be read.
    """
    if settings.initial:
        try:
            return load_weights(settings.initial, architecture)
        except WeightsError as error:
            error.remedy = (
                f"Give --initial the model.safetensors of a {settings.model} run of this task."
            )
            raise
    rng = stream(settings.seed, "initial weights")
    if isinstance(architecture, OwnModel):
        return architecture.initial(rng)
    return initial_weights(architecture, rng)
