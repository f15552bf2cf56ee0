"""The files that a run is given beside its corpus: what is in them determines its result, too."""

from pathlib import Path

from edge_client.simulation.partition_file import SUFFIX
from edge_client.simulation.settings import SimulationSettings
from shared.encoders.encoder import file_digest


def files_of(settings: SimulationSettings) -> dict[str, Path]:
    """Give the files that settings name beside the corpus, by the setting, but for the front end.

    What a front end computes is in the digest of the utterances.
    """
    named = {"initial": settings.initial}
    if settings.partition.endswith(SUFFIX) and not settings.baseline:
        named["partition"] = Path(settings.partition)
    return {name: path for name, path in named.items() if path}


def digests_of_files(settings: SimulationSettings) -> dict[str, str]:
    """Give the SHA-256, in hexadecimal, of each file that a setting names, by the setting.

    One that is not there any more is left out.

    Raises
    ------
    WeightsError
        If one cannot be read.
    """
    return {name: file_digest(path) for name, path in files_of(settings).items() if path.exists()}
