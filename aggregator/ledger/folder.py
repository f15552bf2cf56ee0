"""Where everything lies in the aggregator's state folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FederationFolder:
    """The folder of one federation.

    Attributes
    ----------
    path
        The folder.
    """

    path: Path

    @property
    def ledger(self) -> Path:
        """The SQLite file with all that happened."""
        return self.path / "ledger.sqlite"

    @property
    def lock(self) -> Path:
        """Locked by the process that writes the ledger."""
        return self.path / "lock"

    @property
    def token(self) -> Path:
        """What the link to the operator's page holds."""
        return self.path / "token"

    @property
    def models(self) -> Path:
        """Files of global models and of what strategies remember, named by their digests."""
        return self.path / "models"

    @property
    def uploads(self) -> Path:
        """Updates that are under way."""
        return self.path / "uploads"

    @property
    def updates(self) -> Path:
        """Accepted updates of the round that is not aggregated yet."""
        return self.path / "updates"

    def round_updates(self, number: int) -> Path:
        """Name the folder of a round's accepted updates."""
        return self.updates / str(number)

    def update(self, number: int, client: str) -> Path:
        """Name the file of a client's accepted update."""
        return self.round_updates(number) / f"{client}.safetensors"
