"""What a round asks of devices: as it is announced, and as a secure round's terms name it."""

from typing import Any

from aggregator.ledger import Model
from aggregator.ledger.model_files import ModelFiles
from aggregator.settings import AggregatorSettings
from shared.protocol.messages import File
from shared.protocol.secure_offer import SecureOffer
from shared.secure_round import CODEC


def asked(
    settings: AggregatorSettings,
    files: ModelFiles,
    run: str,
    number: int,
    base: Model,
    secure: SecureOffer | None,
) -> dict[str, Any]:
    """Give all of an announcement that updates follow from.

    Parameters
    ----------
    settings
        The federation's.
    files
        Where models lie.
    run, number
        Which round it is.
    base
        The model that it begins with.
    secure
        What is announced of secure rounds, where rounds are secure.

    Returns
    -------
    dict
        Fields of :class:`~shared.protocol.messages.Announcement`.
    """
    return {
        "federation": settings.federation,
        "run": run,
        "round": number,
        "architecture": settings.model,
        "task": files.architecture.task,
        "model": file_of(files, base.digest),
        "control": file_of(files, base.control) if base.control else None,
        "statistics": file_of(files, base.statistics) if base.statistics else None,
        "training": settings.announced(number),
        "codecs": [CODEC] if secure else list(settings.codecs),
        "seed": settings.seed,
        "secure": secure,
    }


def file_of(files: ModelFiles, digest: str) -> File:
    """Name a file that devices can ask for."""
    return File(digest=digest, size=files.size(digest))
