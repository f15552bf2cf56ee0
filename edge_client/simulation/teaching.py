"""What a run's model says of what taught it."""

from contextlib import suppress
from pathlib import Path

from edge_client.simulation.settings import SimulationSettings
from shared.corpora import CORPORA
from shared.errors import WeightsError
from shared.model_notes.model_card import ModelCard, Teaching, card_of
from shared.storage.tensor_file import TensorFile


def card_of_run(settings: SimulationSettings) -> ModelCard:
    """Name the corpus of a run, and those that taught the weights it began with."""
    info = CORPORA.get(settings.corpus).info
    return ModelCard.begun_with([info.teaching()], taught_before(settings.initial))


def taught_before(initial: Path | None) -> tuple[Teaching, ...]:
    """Name the corpora that taught the weights a run began with, where their file says it."""
    if initial:
        with suppress(WeightsError):  # a run that is resumed does not need the file any more
            if card := card_of(TensorFile(initial).metadata):
                return card.taught_by
    return ()
