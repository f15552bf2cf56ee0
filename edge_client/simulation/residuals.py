"""What lossy codecs left out of the clients' updates, kept on disk between rounds."""

from edge_client.simulation.controls import Controls
from shared.weights import Weights


class Residuals(Controls):
    """Kept as SCAFFOLD's control variates are, and beside them, under names of their own."""

    def of(self, client: str) -> Weights:
        """Read what a client's last update left out; zero before its first."""
        return super().of(_name(client))

    def keep(self, client: str, number: int, control: Weights) -> None:
        """Keep what a client's update of a round left out."""
        super().keep(_name(client), number, control)


def _name(client: str) -> str:
    return f"residual-{client}"
