"""The files that a run is given beside its corpus: what is in them determines its result, too."""

from pathlib import Path

from edge_client.simulation.partition_file import SUFFIX
from edge_client.simulation.settings import SimulationSettings
from shared.encoders.encoder import file_digest


def digests_of_files(settings: SimulationSettings) -> dict[str, str]:
    """Give the SHA-256, in hexadecimal, of each file that a setting names, by the setting.

    That of a front end is left out: what it computes is in the digest of the utterances. So is one
    that is not there any more.

    Raises
    ------
    WeightsError
        If one cannot be read.
    """
    named = {"initial": settings.initial}
    if settings.partition.endswith(SUFFIX) and not settings.baseline:
        named["partition"] = Path(settings.partition)
    return {name: file_digest(path) for name, path in named.items() if path and path.exists()}
