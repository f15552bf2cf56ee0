"""What a run's model says of what taught it."""

from contextlib import suppress

from edge_client.simulation.settings import SimulationSettings
from shared.corpora import CORPORA
from shared.errors import WeightsError
from shared.model_card import ModelCard, Teaching, card_of
from shared.storage.tensor_file import TensorFile


def card_of_run(settings: SimulationSettings) -> ModelCard:
    """Name the corpus of a run, and those that taught the weights it began with."""
    info = CORPORA.get(settings.corpus).info
    taught_by = [Teaching(corpus=info.name, title=info.title, licence=info.licence)]
    if settings.initial:
        with suppress(WeightsError):  # a run that is resumed does not need the file any more
            before = card_of(TensorFile(settings.initial).metadata)
            known = before.taught_by if before else ()
            taught_by += [each for each in known if each.corpus != info.name]
    return ModelCard(taught_by=tuple(taught_by))
