"""What the first round of a federation starts from: weights in a file, or random ones."""

import tempfile
from pathlib import Path

from aggregator.ledger import Ledger, Model, Version
from aggregator.ledger.model_files import ModelFiles
from aggregator.settings import FRESH, PACKAGED, AggregatorSettings, is_name_of
from shared.architectures import Architecture
from shared.features.start_file import check_start, start_beside
from shared.model_notes import NO_NOTES, ModelNotes, load_notes
from shared.starter import STARTER
from shared.weights import Weights, fresh_weights, load_weights


def first_model(
    settings: AggregatorSettings, architecture: Architecture
) -> tuple[Weights, ModelNotes]:
    """Give what the first round starts from, and what files say of it.

    Raises
    ------
    WeightsError
        If the weights, or what lies beside them, cannot be used.
    """
    file = _file_of(settings.initial)
    if file is None:
        return fresh_weights(architecture, settings.seed), NO_NOTES
    if start := start_beside(file):
        check_start(start, architecture.task)
    return load_weights(file, architecture), load_notes(file).of_descendants()


def enter_first(first: Weights, initial: Path | None, files: ModelFiles, ledger: Ledger) -> Version:
    """Write and enter the model that the first round starts from, and what belongs to it.

    Parameters
    ----------
    first
        Its weights.
    initial
        What names them in the settings.
    files, ledger
        Where it is written.

    Raises
    ------
    StorageError
        If the disk is full.
    """
    digest = files.add_weights(first)
    file = _file_of(initial)
    start = start_beside(file) if file else None
    model = Model(
        digest=digest,
        bytes=files.size(digest),
        statistics=files.add_copy(start) if start else None,
    )
    return ledger.add_initial(model)


def as_begun(
    settings: AggregatorSettings, ledger: Ledger, architecture: Architecture
) -> AggregatorSettings:
    """Name the weights to start from as the federation was begun with, if they are the same.

    Raises
    ------
    WeightsError
        If the weights, or what lies beside them, cannot be used.
    """
    begun = ledger.settings.get("initial")
    if begun is None or settings.initial is None or str(settings.initial) == begun:
        return settings
    weights, notes = first_model(settings, architecture)
    with tempfile.TemporaryDirectory() as folder:
        digest = ModelFiles(Path(folder), architecture, notes).add_weights(weights)
    if digest != ledger.version(1).digest:
        return settings
    return settings.model_copy(update={"initial": Path(begun)})


def _file_of(initial: Path | None) -> Path | None:
    """Name the file of the weights to start from; ``None`` for random ones."""
    if initial is None or is_name_of(initial, FRESH):
        return None
    return STARTER if is_name_of(initial, PACKAGED) else initial
