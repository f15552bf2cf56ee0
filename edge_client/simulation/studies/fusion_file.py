"""The file of a fused model: every branch's weights, what fuses them, and what they are for."""

import json
from pathlib import Path

from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.fusion import TEXT, Fusion
from shared.corpora import CORPORA
from shared.fused_model import FUSING, METADATA
from shared.model_notes.model_card import ModelCard, cut
from shared.storage.tensor_file import write_tensors
from shared.weights import Weights, split


def write_fusion(
    path: Path, fusion: Fusion, settings: DataSettings, sentences: str, reached: float
) -> None:
    """Write a fused model; see :mod:`shared.fused_model`.

    Parameters
    ----------
    path
        The file.
    fusion
        The model.
    settings
        What taught it.
    sentences
        Name of what made vectors of sentences (:class:`shared.sentences.SentenceEncoder`).
    reached
        Its unweighted average recall on the test.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    tensors: dict[str, Weights] = {}
    for name, own in {**fusion.branches, FUSING: fusion.fusing}.items():
        weights = split(own.weights, own.architecture)
        tensors |= {f"{name}/{key}": value for key, value in weights.items()}
    info = CORPORA.get(settings.corpus).info
    test = CORPORA.get(settings.test_corpus).info.title if settings.test_corpus else info.title
    card = ModelCard(taught_by=(info.teaching(),), reached={cut(test): {settings.known: reached}})
    facts = {
        "task": settings.task.to_dict(),
        "normalisation": settings.normalisation,
        "branches": list(fusion.branches),
        "sentences": sentences if TEXT in fusion.branches else "",
    }
    write_tensors(path, tensors, {METADATA: json.dumps(facts), **card.to_metadata()})
