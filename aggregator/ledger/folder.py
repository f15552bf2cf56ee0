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
    def key(self) -> Path:
        """What the aggregator signs with."""
        return self.path / "key.pem"

    @property
    def counter(self) -> Path:
        """Up to where numbers may have been used in signatures."""
        return self.path / "counter"

    @property
    def members(self) -> Path:
        """The SQLite file with who was invited and who has joined."""
        return self.path / "members.sqlite"

    @property
    def certificate(self) -> Path:
        """The embedded broker's certificate, with its key."""
        return self.path / "broker.pem"

    @property
    def password(self) -> Path:
        """What the aggregator is let in with by its embedded broker."""
        return self.path / "broker-password"

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

    @property
    def secure(self) -> Path:
        """Journals of secure rounds."""
        return self.path / "secure"

    @property
    def trust(self) -> tuple[Path, ...]:
        """What devices know the federation by, and it knows them by; some may not be there."""
        return self.members, self.key, self.certificate, self.counter

    def lasting(self) -> list[Path]:
        """Give the files that nothing brings back: the ledger, members and keys, and the models."""
        return [self.ledger, *self.trust, *self.models.glob("*")]

    def secure_round(self, number: int) -> Path:
        """Name the journal of a secure round."""
        return self.secure / str(number)

    def round_updates(self, number: int) -> Path:
        """Name the folder of a round's accepted updates."""
        return self.updates / str(number)

    def update(self, number: int, client: str) -> Path:
        """Name the file of a client's accepted update."""
        return self.round_updates(number) / f"{client}.safetensors"
